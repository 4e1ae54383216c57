#include "kernels/psnr/psnr.h"

#include "kernels/common/check.h"
#include "kernels/common/cropped_area.h"

namespace gridstep {
namespace {

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 2);
  expect_tensor(in[0], DType::kF32, "the prediction");
  expect_tensor(in[1], DType::kU8, "the target");
  expect_rank(in[0], 4, "the prediction");
  expect_same_shape(in[0], in[1]);
  const Shape& s = in[0].shape;
  if (s[0] != 1 || s[3] != 3) fail<ConfigError>("takes one image of three channels, got {}", in[0].text());
  const auto& attrs = node.attrs_as<PsnrAttrs>();
  check_crop(s, attrs.rgb_crop, 1, "rgb_crop");
  check_crop(s, attrs.y_crop, 1, "y_crop");
  return {{Shape{4}, DType::kF64}};
}

Bytes workspace(const Node&, std::span<const ValueSpec> in, DeviceKind) {
  return 2 * in[0].shape[1] * size_of(DType::kF64);
}

}  // namespace

ValueId psnr(Graph& graph, std::string name, ValueId prediction, ValueId target, PsnrAttrs attrs) {
  return graph.add_node(std::move(name), psnr_op(), attrs, {prediction, target})[0];
}

const OpDef& psnr_op() {
  static const OpDef op{.name = "psnr", .infer = infer, .workspace = workspace, .record_cpu = record_psnr_cpu};
  return op;
}

}  // namespace gridstep
