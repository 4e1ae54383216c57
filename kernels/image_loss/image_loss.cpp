#include "kernels/image_loss/image_loss.h"

#include <array>

#include "engine/base/names.h"
#include "engine/graph/backward.h"
#include "kernels/common/check.h"
#include "kernels/common/lane_sum.h"

namespace gridstep {
namespace {

constexpr std::array<std::string_view, 3> kNames{"mse", "l1", "charbonnier"};  // in the order of LossKind

void check_images(std::span<const ValueSpec> in) {
  expect_inputs(in, 2);
  expect_tensor(in[0], DType::kF32, "the prediction");
  expect_tensor(in[1], DType::kU8, "the target");
  expect_rank(in[0], 4, "the prediction");
  expect_same_shape(in[0], in[1]);
}

std::vector<ValueSpec> infer(const Node&, std::span<const ValueSpec> in) {
  check_images(in);
  return {{Shape{}, DType::kF64}};
}

std::vector<ValueSpec> infer_backward(const Node&, std::span<const ValueSpec> in) {
  check_images(in);
  return {in[0]};
}

Bytes workspace(const Node&, std::span<const ValueSpec> in, DeviceKind) {
  return tree_blocks(in[0].shape.elements()) * size_of(DType::kF64);
}

void gradient(GradientBuilder& builder, const Node& node) {
  const ValueId prediction = node.inputs[0];
  builder.accumulate(prediction,
                     builder.add_node(node.name + "/backward", image_loss_backward_op(), node.attrs, node.inputs)[0]);
}

}  // namespace

LossKind parse_loss(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<LossKind>(i);
  }
  fail<ConfigError>("unknown loss '{}'{}; there are {}", name, did_you_mean(name, loss_names()), join(loss_names()));
}

std::string_view name_of(LossKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

std::vector<std::string> loss_names() { return {kNames.begin(), kNames.end()}; }

ValueId image_loss(Graph& graph, std::string name, ValueId prediction, ValueId target, LossKind kind) {
  return graph.add_node(std::move(name), image_loss_op(), ImageLossAttrs{kind}, {prediction, target})[0];
}

const OpDef& image_loss_op() {
  static const OpDef op{.name = "image_loss",
                        .infer = infer,
                        .workspace = workspace,
                        .record_cpu = record_image_loss_cpu,
                        .gradient = gradient};
  return op;
}

const OpDef& image_loss_backward_op() {
  static const OpDef op{
      .name = "image_loss_backward", .infer = infer_backward, .record_cpu = record_image_loss_backward_cpu};
  return op;
}

}  // namespace gridstep
