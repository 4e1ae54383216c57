#include "kernels/normalize_pixels/normalize_pixels.h"

#include <algorithm>

#include "kernels/common/check.h"

namespace gridstep {
namespace {

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 1);
  expect_tensor(in[0], DType::kU8, "x");
  const Shape& shape = in[0].shape;
  if (shape.rank() < 1 || shape[shape.rank() - 1] != 3)
    fail<ConfigError>("x has to have three colours as its last axis, its shape is {}", shape.text());
  const auto& attrs = node.attrs_as<Normalization>();
  if (!std::all_of(std::begin(attrs.deviation), std::end(attrs.deviation), [](float d) { return d > 0.0f; }))
    fail<ConfigError>("deviations have to be positive");
  return {{shape, DType::kF32}};
}

}  // namespace

ValueId normalize_pixels(Graph& graph, std::string name, ValueId x, const Normalization& attrs) {
  return graph.add_node(std::move(name), normalize_pixels_op(), attrs, {x})[0];
}

const OpDef& normalize_pixels_op() {
  static const OpDef op{.name = "normalize_pixels", .infer = infer, .record_cpu = record_normalize_pixels_cpu};
  return op;
}

}  // namespace gridstep
