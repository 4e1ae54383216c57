// The quantizer's CUDA launches: codes, values and dx in the CPU's bits, the step's gradient to the last bit or so (the
// order of its sum differs).
#include "kernels/quantize/quantize_launch.h"
#include "tests/simt/compare_nodes.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

// Graph: node 0 the quantizer, node 1 its backward pass.
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

// Steps that leave part of the values outside the range, and ties among the values.
void fill_quantizer(NodeBench& bench, int replica, const QuantizeAttrs& attrs) {
  const auto seed = static_cast<unsigned>(100 * replica);
  const float s = 1.5f / static_cast<float>(attrs.range.p) * (1.0f + 0.25f * static_cast<float>(replica));
  const std::span<float> x = bench.in<float>(0, replica);
  fill(x, normal_values(static_cast<Index>(x.size()), seed));
  for (std::size_t i = 0; i < x.size(); i += 5) {
    x[i] = s * (static_cast<float>(i % 9) - 4.0f + (i % 2 == 0 ? 0.5f : 0.0f));
  }
  std::size_t k = 0;
  for (float& p : bench.in<float>(1, replica)) {
    const float step = s * (1.0f + 0.01f * static_cast<float>(k++));
    p = attrs.form == StepForm::kLog ? std::log(step) : step;
  }
  for (float& s0 : bench.in<float>(2, replica)) s0 = s * (0.9f + 0.02f * static_cast<float>(k--));
  if (bench.bound().in.size() > 3) {
    fill(bench.in<float>(3, replica), normal_values(static_cast<Index>(x.size()), seed + 1, 0.1f));
  }
}

NodeCase case_of(RecordFn cuda, const QuantizeAttrs& attrs, std::vector<int> close = {}) {
  return {cuda, [attrs](NodeBench& bench, int replica) { fill_quantizer(bench, replica, attrs); }, std::move(close)};
}

void check_quantizer(const Shape& shape, const QuantizeAttrs& attrs) {
  INFO(shape.text() << ", codes " << attrs.range.n << " to " << attrs.range.p << ", per channel " << attrs.per_channel
                    << ", fake " << attrs.fake << ", activation " << static_cast<int>(attrs.activation) << ", mask "
                    << static_cast<int>(attrs.mask));
  const Graph graph = quantizer_graph(shape, attrs);
  check_node(graph, 0, case_of(record_quantize_cuda, attrs));
  check_node(graph, 1, case_of(record_quantize_backward_cuda, attrs, {1}));
}

}  // namespace

TEST_CASE("quantizers of every kind") {
  for (const CodeRange range : {CodeRange{0, 255}, CodeRange{-128, 127}, CodeRange{-4, 3}}) {
    for (const auto activation : {FusedActivation::kNone, FusedActivation::kRelu, FusedActivation::kTanh}) {
      for (const auto mask : {GradientMask::kStrict, GradientMask::kInclusive, GradientMask::kRounded}) {
        QuantizeAttrs attrs{.range = range, .mask = mask, .activation = activation, .gradient_scale = 0.03f};
        attrs.fake = mask == GradientMask::kRounded;
        attrs.form = mask == GradientMask::kInclusive ? StepForm::kLinear : StepForm::kLog;
        check_quantizer({3, 5, 7, 3}, attrs);
      }
    }
  }
}

TEST_CASE("quantizers of awkward shapes") {
  for (const bool per_channel : {false, true}) {
    const QuantizeAttrs attrs{.range = {-128, 127}, .per_channel = per_channel, .gradient_scale = 0.1f};
    for (const Shape& shape : {Shape{1}, Shape{3}, Shape{2, 1}, Shape{5, 819}, Shape{2, 2048}, Shape{4, 4093},
                               Shape{3, 4097}, Shape{2, 4096 * 2 + 5}, Shape{7, 75}}) {
      check_quantizer(shape, attrs);
    }
  }
}

TEST_CASE("a NaN becomes code 0 and a fault of its replica") {
  for (const bool fake : {false, true}) {
    QuantizeAttrs attrs{.range = {0, 15}};
    attrs.fake = fake;
    const Graph graph = quantizer_graph({2, 2053}, attrs);
    for (const std::size_t place : {0u, 4097u, 4105u}) {
      NodeCase test = case_of(record_quantize_cuda, attrs);
      test.fill = [fill_all = test.fill, place](NodeBench& bench, int replica) {
        fill_all(bench, replica);
        if (replica == 1) bench.in<float>(0, replica)[place] = std::numeric_limits<float>::quiet_NaN();
      };
      check_node(graph, 0, test);
    }
  }
}

TEST_CASE("quantizers of awkward rows with a step of 0: faults of zeros that exist, and of no others") {
  QuantizeAttrs attrs{.range = {-8, 7}, .per_channel = true};
  attrs.form = StepForm::kLinear;
  for (const bool zeros : {false, true}) {
    NodeCase test = case_of(record_quantize_cuda, attrs);
    test.fill = [fill_all = test.fill, zeros](NodeBench& bench, int replica) {
      fill_all(bench, replica);
      for (float& x : bench.in<float>(0, replica)) x = zeros && replica == 1 ? 0.0f : 1.0f + std::abs(x);
      for (float& s : bench.in<float>(1, replica)) s = 0.0f;
    };
    check_node(quantizer_graph({7, 75}, attrs), 0, test);
  }
}

TEST_CASE("memory off the vector grid, and dx unwanted") {
  const QuantizeAttrs attrs{.range = {-8, 7}, .activation = FusedActivation::kTanh};
  const Graph graph = quantizer_graph({5, 1000}, attrs);
  NodeBench aligned(graph, 1, 1, DeviceKind::kCuda);
  fill_quantizer(aligned, 0, attrs);
  aligned.run(TaskOrder::kForward, record_quantize_backward_cuda);

  NodeBench moved(graph, 1, 1, DeviceKind::kCuda);
  fill_quantizer(moved, 0, attrs);
  std::vector<float> dx(5001, -1.0f);
  for (const bool wanted : {true, false}) {
    BoundNode bound = moved.bound();
    bound.out[0].data = wanted ? reinterpret_cast<std::byte*>(dx.data() + 1) : nullptr;
    Recorder recorder(moved.device(), 1, &moved.params(), &moved.status());
    record_quantize_backward_cuda(recorder, bound);
    for (const Launch& launch : recorder.take_launches()) launch.run({});
    CHECK_SAME(compare_bits(moved.out<float>(1), aligned.out<float>(1)));
    moved.out<float>(1)[0] = 0.0f;
  }
  CHECK_SAME(compare_bits(std::span<float>(dx).subspan(1), aligned.out<float>(0)));
  CHECK(dx[0] == -1.0f);
}
