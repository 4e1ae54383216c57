#include "kernels/fold_norm/fold_norm.h"

#include "engine/base/error.h"
#include "kernels/common/check.h"

namespace gridstep {
namespace {

enum Input { kW, kGamma, kBeta, kMean, kVar, kBias, kInputs };

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  const float eps = node.attrs_as<FoldNormAttrs>().eps;
  if (!(eps > 0.0f)) fail<ConfigError>("eps must be above 0, got {}", eps);
  expect_inputs(in, kInputs);
  expect_tensor(in[kW], DType::kF32, "w");
  if (in[kGamma].shape.rank() != 1) fail<ConfigError>("gamma must have one axis, got {}", in[kGamma].text());
  const Index channels = in[kGamma].shape[0];
  for (const Input i : {kGamma, kBeta, kMean, kVar, kBias}) {
    if (i == kBias && node.inputs[kBias] == kNoValue) continue;
    const ValueSpec& spec = in[static_cast<std::size_t>(i)];
    if (spec != ValueSpec{{channels}, DType::kF32})
      fail<ConfigError>("{} channels have a parameter of {}", channels, spec.text());
  }
  const Shape& w = in[kW].shape;
  if (w == Shape{1}) return {in[kGamma], in[kGamma]};
  if (w.rank() < 1 || w[0] != channels) fail<ConfigError>("{} channels have weights of {}", channels, in[kW].text());
  return {in[kW], in[kGamma]};
}

}  // namespace

FoldTensors fold_tensors(const BoundNode& node) {
  return {node.in[kW],   node.in[kGamma], node.in[kBeta], node.in[kMean],
          node.in[kVar], node.in[kBias],  node.out[0],    node.out[1]};
}

const OpDef& fold_norm_op() {
  static const OpDef op{.name = "fold_norm", .infer = infer, .record_cpu = record_fold_norm_cpu};
  return op;
}

}  // namespace gridstep
