#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

#include <limits>

#include "engine/graph/backward.h"
#include "kernels/common/check.h"
#include "kernels/softmax_cross_entropy/softmax_math.h"

namespace gridstep {
namespace {

void check(const Node& node, std::span<const ValueSpec> in) {
  const float smoothing = node.attrs_as<SoftmaxCrossEntropyAttrs>().smoothing;
  if (!(smoothing >= 0.0f && smoothing < 1.0f))
    fail<ConfigError>("label smoothing must be in [0, 1), got {}", smoothing);
  expect_inputs(in, 2);
  expect_tensor(in[0], DType::kF32, "the logits");
  expect_tensor(in[1], DType::kS32, "the labels");
  const Shape& x = in[0].shape;
  if (x.rank() != 2 && !(x.rank() == 4 && x[1] == 1 && x[2] == 1))
    fail<ConfigError>("the logits must be (N, K) or (N, 1, 1, K), got {}", in[0].text());
  expect_rank(in[1], 1, "the labels");
  if (in[0].shape[0] != in[1].shape[0]) {
    fail<ConfigError>("{} samples have {} labels", in[0].shape[0], in[1].shape[0]);
  }
  const Index classes = x[x.rank() - 1];
  if (classes > (1 << 24)) fail<ConfigError>("more than 2^24 classes: {}", classes);
}

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  check(node, in);
  return {{Shape{}, DType::kF64}, {Shape{2}, DType::kF64}};
}

std::vector<ValueSpec> infer_backward(const Node& node, std::span<const ValueSpec> in) {
  check(node, in);
  return {in[0]};
}

Bytes workspace(const Node&, std::span<const ValueSpec> in, DeviceKind) {
  return in[0].shape[0] * static_cast<Bytes>(sizeof(SampleLoss));
}

void gradient(GradientBuilder& builder, const Node& node) {
  builder.accumulate(node.inputs[0], builder.add_node(node.name + "/backward", softmax_cross_entropy_backward_op(),
                                                      node.attrs, node.inputs)[0]);
}

}  // namespace

CrossEntropy softmax_cross_entropy(Graph& graph, std::string name, ValueId logits, ValueId labels,
                                   SoftmaxCrossEntropyAttrs attrs) {
  const auto out = graph.add_node(std::move(name), softmax_cross_entropy_op(), attrs, {logits, labels});
  return {out[0], out[1]};
}

const OpDef& softmax_cross_entropy_op() {
  static const OpDef op{.name = "softmax_cross_entropy",
                        .infer = infer,
                        .workspace = workspace,
                        .record_cpu = record_softmax_cross_entropy_cpu,
                        .gradient = gradient};
  return op;
}

const OpDef& softmax_cross_entropy_backward_op() {
  static const OpDef op{.name = "softmax_cross_entropy_backward",
                        .infer = infer_backward,
                        .record_cpu = record_softmax_cross_entropy_backward_cpu};
  return op;
}

}  // namespace gridstep
