#include "kernels/ssim/ssim.h"

#include "kernels/common/check.h"
#include "kernels/ssim/ssim_math.h"

namespace gridstep {
namespace {

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 2);
  expect_tensor(in[0], DType::kU8, "a");
  expect_tensor(in[1], DType::kU8, "b");
  expect_rank(in[0], 4, "a");
  expect_same_shape(in[0], in[1]);
  const Shape& s = in[0].shape;
  if (s[0] != 1 || s[3] != 3) fail<ConfigError>("takes one image of three channels each, got {}", in[0].text());
  const auto& attrs = node.attrs_as<SsimAttrs>();
  check_crop(s, attrs.rgb_crop, kSsimTaps, "rgb_crop");
  check_crop(s, attrs.y_crop, kSsimTaps, "y_crop");
  return {{Shape{2}, DType::kF64}};
}

Bytes workspace(const Node&, std::span<const ValueSpec> in, DeviceKind) {
  return kSsimPlanes * in[0].shape[1] * size_of(DType::kF64);
}

}  // namespace

ValueId ssim(Graph& graph, std::string name, ValueId a, ValueId b, SsimAttrs attrs) {
  return graph.add_node(std::move(name), ssim_op(), attrs, {a, b})[0];
}

const OpDef& ssim_op() {
  static const OpDef op{
      .name = "ssim", .infer = infer, .workspace = workspace, .scratch = ssim_scratch, .record_cpu = record_ssim_cpu};
  return op;
}

}  // namespace gridstep
