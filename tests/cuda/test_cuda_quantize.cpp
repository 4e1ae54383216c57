// The quantizer on the GPU against the CPU: equal codes and dx, the step's gradient to the last bit or so.
#include <limits>

#include "kernels/quantize/quantize.h"
#include "tests/cuda/gpu_node.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

Graph quantizer_graph(const Shape& shape, const QuantizeAttrs& attrs) {
  Graph graph;
  const Shape steps{attrs.per_channel ? shape[0] : 1};
  const ValueId x = graph.add_input("x", {shape, DType::kF32});
  const ValueId parameter = graph.add_input("parameter", {steps, DType::kF32});
  const ValueId s0 = graph.add_input("s0", {steps, DType::kF32});
  const ValueId g = graph.add_input("g", {shape, DType::kF32});
  graph.add_node("quantize", quantize_op(), attrs, {x, parameter, s0});
  graph.add_node("quantize/backward", quantize_backward_op(), attrs, {x, parameter, s0, g});
  return graph;
}

void fill_quantizer(NodeBench& bench, bool with_gradient) {
  const auto n = static_cast<Index>(bench.in<float>(0).size());
  fill(bench.in<float>(0), normal_values(n, 1));
  for (float& p : bench.in<float>(1)) p = -3.5f;  // rho = ln s
  for (float& s0 : bench.in<float>(2)) s0 = 0.04f;
  if (with_gradient) fill(bench.in<float>(3), normal_values(n, 2, 0.1f));
}

}  // namespace

TEST_CASE("the quantizer on the GPU gives the CPU's codes and gradients") {
  const auto device = gpu();
  for (const bool per_channel : {false, true}) {
    for (const auto activation : {FusedActivation::kNone, FusedActivation::kRelu, FusedActivation::kTanh}) {
      for (const Shape& shape : {Shape{1}, Shape{7, 75}, Shape{3, 4097}, Shape{16, 17, 17, 64}}) {
        INFO(shape.text() << ", per channel " << per_channel << ", activation " << static_cast<int>(activation));
        const QuantizeAttrs attrs{
            .range = {-128, 127}, .per_channel = per_channel, .activation = activation, .gradient_scale = 0.03f};
        const Graph graph = quantizer_graph(shape, attrs);
        NodeBench forward(graph, 0), backward(graph, 1);
        fill_quantizer(forward, false);
        fill_quantizer(backward, true);
        forward.run();
        backward.run();
        GpuNode codes(*device, graph, 0, forward), gradients(*device, graph, 1, backward);
        CHECK_SAME(compare_bits(codes.out<std::int8_t>(0), copy_of(forward.out<std::int8_t>(0))));
        CHECK_SAME(compare_bits(codes.out<float>(1), copy_of(forward.out<float>(1))));
        CHECK_SAME(compare_bits(gradients.out<float>(0), copy_of(backward.out<float>(0))));
        CHECK_SAME(compare(gradients.out<float>(1), backward.out<float>(1), {.abs = 1e-30, .rel = 1.2e-7}));
      }
    }
  }
}

TEST_CASE("a NaN before the quantizer on the GPU is a fault") {
  const auto device = gpu();
  const Graph graph = quantizer_graph({2, 3000}, {.range = {0, 255}});
  NodeBench bench(graph, 0);
  fill_quantizer(bench, false);
  bench.in<float>(0)[4097] = std::numeric_limits<float>::quiet_NaN();
  bench.params().step = 7;
  bench.run();
  GpuNode node(*device, graph, 0, bench, bench.params());
  CHECK(node.status.first_fault == (std::uint64_t{7} << 32 | 1));
  CHECK_SAME(compare_bits(node.out<std::uint8_t>(0), copy_of(bench.out<std::uint8_t>(0))));
}
