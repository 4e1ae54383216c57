#include "kernels/pixels_to_float/pixels_to_float.h"

#include "kernels/common/check.h"

namespace gridstep {
namespace {

std::vector<ValueSpec> infer(const Node&, std::span<const ValueSpec> in) {
  expect_inputs(in, 1);
  expect_tensor(in[0], DType::kU8, "x");
  return {{in[0].shape, DType::kF32}};
}

}  // namespace

ValueId pixels_to_float(Graph& graph, std::string name, ValueId x) {
  return graph.add_node(std::move(name), pixels_to_float_op(), {}, {x})[0];
}

const OpDef& pixels_to_float_op() {
  static const OpDef op{.name = "pixels_to_float", .infer = infer, .record_cpu = record_pixels_to_float_cpu};
  return op;
}

}  // namespace gridstep
