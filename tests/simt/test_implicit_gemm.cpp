// The own convolution on codes against the CPU: every tile, arithmetic, operand type and kind of output, in every bit.
#include "kernels/batch_norm/norm_math.h"
#include "kernels/conv2d/implicit_gemm.h"
#include "kernels/conv2d/onednn.h"
#include "tests/kernels/conv2d_bench.h"
#include "tests/simt/compare_nodes.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct CodeConv {
  ConvShape shape;
  DType x = DType::kU8;
  Index w_steps = 1;
  std::optional<QuantizeAttrs> quantize = {};
  int x_bound = 255, w_bound = 64;  // magnitudes of codes: no sum reaches 2^24, whatever the CPU adds in
  bool add = false, relu = false;   // a folded convolution's tail
};

// Input 5 onwards as after fusion.
Graph graph_of(const CodeConv& c, GemmChoice choice = {}) {
  Graph g;
  std::vector<ValueId> in{g.add_input("x", {x_shape(c.shape), c.x}), g.add_input("w", {w_shape(c.shape), DType::kS8}),
                          g.add_input("b", {{c.shape.k}, DType::kF32}), g.add_input("x_step", {{1}, DType::kF32}),
                          g.add_input("w_step", {{c.w_steps}, DType::kF32})};
  Conv2dAttrs attrs{c.shape.stride, c.shape.pad, {}, 0, 0};
  attrs.largest_x = c.x_bound;
  attrs.largest_w = c.w_bound;
  attrs.gemm = choice;
  const ValueId y = g.add_node("conv", conv2d_op(), attrs, in)[0];
  auto& tail = std::any_cast<Conv2dAttrs&>(g.node(0).attrs);
  tail.inference = tail.add = c.add;
  tail.relu = c.relu;
  if (c.add) g.node(0).inputs.push_back(g.add_input("residual", g.spec(y)));
  if (!c.quantize) return g;
  const ValueId parameter = g.add_input("parameter", {{1}, DType::kF32}), s0 = g.add_input("s0", {{1}, DType::kF32});
  const QuantizedValue q = quantize(g, "quantize", y, parameter, s0, *c.quantize);
  Node& node = g.node(0);
  tail.quantize = c.quantize;
  node.inputs.insert(node.inputs.end(), {parameter, s0});
  node.outputs.insert(node.outputs.end(), {q.codes, q.step});
  return g;
}

void fill_codes(NodeBench& bench, int replica, const CodeConv& c) {
  fill_randomly(bench, replica);
  const auto seed = static_cast<unsigned>(replica);
  fill(bench.in<std::uint8_t>(0, replica),
       c.x == DType::kU8 ? code_values<std::uint8_t>(c.shape.x_size(), 0, c.x_bound, seed)
                         : code_values<std::uint8_t>(c.shape.x_size(), -c.x_bound, c.x_bound, seed));
  fill(bench.in<std::uint8_t>(1, replica),
       code_values<std::uint8_t>(c.shape.w_size(), -c.w_bound, c.w_bound, seed + 9));
  bench.in<float>(3, replica)[0] = 0.011f + 0.001f * static_cast<float>(replica);
  for (float& s : bench.in<float>(4, replica)) s = (c.add ? s : std::abs(s)) * 0.02f;
  if (c.quantize) bench.in<float>(c.add ? 6 : 5, replica)[0] = -3.0f - 0.1f * static_cast<float>(replica);
}

void check(const CodeConv& c, GemmChoice choice, int random_schedules = 0) {
  INFO(x_shape(c.shape).text() << " * " << w_shape(c.shape).text() << ", stride " << c.shape.stride << ", padding "
                               << c.shape.pad << ", tile " << static_cast<int>(choice.tile) << ", arithmetic "
                               << static_cast<int>(choice.arithmetic) << ", " << name_of(c.x));
  check_node(graph_of(c, choice), 0,
             {.cuda = record_implicit_gemm_cuda,
              .fill = [&](NodeBench& bench, int replica) { fill_codes(bench, replica, c); },
              .random_schedules = random_schedules});
}

constexpr GemmTile kTiles[] = {GemmTile::k64x32, GemmTile::k128x64, GemmTile::k128x128};

}  // namespace

TEST_CASE("own convolution: every shape of the op's tests") {
  for (ConvShape a : conv_shapes()) {
    for (const DType x : {DType::kU8, DType::kS8}) {
      const int bound = x == DType::kU8 ? 255 : 127;
      check({.shape = a, .x = x, .w_steps = a.k, .x_bound = bound}, {GemmTile::k64x32, GemmArithmetic::kInt8});
      check({.shape = a, .x = x, .x_bound = bound}, {GemmTile::k64x32, GemmArithmetic::kBf16});
    }
  }
}

TEST_CASE("own convolution: whole tiles and tails of every tile, wide and narrow") {
  // More pixels and filters than a tile, neither a multiple; one and several stages; wide copies from 16 channels on.
  for (const GemmTile tile : kTiles) {
    const Index k = tile == GemmTile::k64x32 ? 37 : (tile == GemmTile::k128x64 ? 72 : 136);
    for (const GemmArithmetic arithmetic : {GemmArithmetic::kInt8, GemmArithmetic::kBf16}) {
      for (const DType x : {DType::kU8, DType::kS8}) {
        const int bound = x == DType::kU8 ? 255 : 127;
        check({.shape = {1, 9, 15, 16, k, 3, 3, 1, 1}, .x = x, .w_steps = k, .x_bound = bound}, {tile, arithmetic});
        check({.shape = {1, 9, 15, 3, k, 5, 5, 1, 2}, .x = x, .x_bound = bound}, {tile, arithmetic});
      }
    }
  }
}

TEST_CASE("own convolution: every tile, short of one pixel and one filter") {
  check({.shape = {1, 7, 9, 16, 31, 3, 3, 1, 1}}, {GemmTile::k64x32, GemmArithmetic::kInt8});
  check({.shape = {1, 1, 127, 16, 63, 3, 3, 1, 1}}, {GemmTile::k128x64, GemmArithmetic::kInt8});
  check({.shape = {1, 127, 1, 16, 127, 3, 3, 1, 1}}, {GemmTile::k128x128, GemmArithmetic::kBf16});
}

TEST_CASE("own convolution: more stages than the pipeline holds, strides, no padding") {
  check({.shape = {1, 5, 6, 64, 35, 3, 3, 1, 1}}, {GemmTile::k64x32, GemmArithmetic::kInt8}, 1);
  check({.shape = {2, 9, 7, 48, 33, 3, 3, 2, 0}}, {GemmTile::k64x32, GemmArithmetic::kInt8}, 1);
  check({.shape = {1, 9, 9, 9, 8, 7, 7, 2, 3}}, {GemmTile::k64x32, GemmArithmetic::kInt8}, 1);
  check({.shape = {5, 3, 3, 80, 4, 1, 1, 1, 0}}, {GemmTile::k128x64, GemmArithmetic::kInt8}, 1);
}

TEST_CASE("own convolution: a fused quantizer of every kind") {
  for (const Index k : {5, 32}) {
    for (const auto activation : {FusedActivation::kNone, FusedActivation::kRelu, FusedActivation::kTanh}) {
      for (const CodeRange range : {CodeRange{0, 15}, CodeRange{-8, 7}}) {
        for (const bool fake : {false, true}) {
          const QuantizeAttrs quantize{.range = range, .fake = fake, .activation = activation};
          check({.shape = {2, 5, 7, 16, k, 3, 3, 1, 1}, .w_steps = k, .quantize = quantize}, {});
        }
      }
    }
  }
}

TEST_CASE("own convolution: a residual, a ReLU and a quantizer behind scales of both signs") {
  for (const auto& [tile, k] :
       {std::pair<GemmTile, Index>{GemmTile::k64x32, 5}, {GemmTile::k64x32, 32}, {GemmTile::k128x128, 130}}) {
    for (const bool relu : {false, true}) {
      CodeConv c{.shape = {2, 5, 7, 16, k, 3, 3, 1, 1}, .w_steps = k, .add = true, .relu = relu};
      check(c, {tile, GemmArithmetic::kInt8});
      c.quantize = QuantizeAttrs{.range = {0, 255}};
      check(c, {tile, GemmArithmetic::kBf16});
    }
  }
}

TEST_CASE("own convolution: a fused quantizer's codes without the values") {
  const CodeConv c{.shape = {2, 5, 7, 16, 5, 3, 3, 1, 1}, .quantize = QuantizeAttrs{.range = {0, 15}}};
  NodeBench cuda(graph_of(c), 0, 1, DeviceKind::kCuda);
  fill_codes(cuda, 0, c);
  check_without_first_output(cuda, record_implicit_gemm_cuda, 1);
}

TEST_CASE("own convolution: sums near the end of what each arithmetic holds") {
  // 3 * 3 * 57 taps of 255 * 127, or of -128 * 127, are below 2^24.
  for (const GemmArithmetic arithmetic : {GemmArithmetic::kInt8, GemmArithmetic::kBf16}) {
    for (const DType x : {DType::kU8, DType::kS8}) {
      const CodeConv c{
          .shape = {1, 3, 3, 57, 5, 3, 3, 1, 1}, .x = x, .x_bound = x == DType::kU8 ? 255 : 128, .w_bound = 127};
      const auto extremes = [&](NodeBench& bench, int replica) {
        fill_codes(bench, replica, c);
        for (auto& q : bench.in<std::uint8_t>(0, replica)) q = x == DType::kU8 ? 255 : 0x80;
        for (auto& q : bench.in<std::int8_t>(1, replica)) q = static_cast<std::int8_t>(replica == 1 ? -127 : 127);
      };
      check_node(graph_of(c, {GemmTile::k64x32, arithmetic}), 0, {.cuda = record_implicit_gemm_cuda, .fill = extremes});
    }
  }
}

TEST_CASE("own convolution: operands that are not aligned to 16 bytes are gathered") {
  const CodeConv c{.shape = {1, 5, 6, 16, 35, 3, 3, 1, 1}};
  NodeBench cpu(graph_of(c), 0), cuda(graph_of(c), 0, 1, DeviceKind::kCuda);
  fill_codes(cpu, 0, c);
  fill_codes(cuda, 0, c);
  cpu.run();
  const auto size = static_cast<std::size_t>(c.shape.x_size());
  std::vector<std::byte> moved(size + 32);
  BoundNode bound = cuda.bound();
  for (const std::size_t offset : {1u, 8u, 15u}) {
    std::byte* const base = moved.data() + (16 - reinterpret_cast<std::uintptr_t>(moved.data()) % 16) + offset;
    std::memcpy(base, cuda.bound().in[0].data, size);
    bound.in[0].data = base;
    Recorder recorder(cuda.device(), 1, nullptr, nullptr);
    recorder.set_node(0, "conv");
    record_implicit_gemm_cuda(recorder, bound);
    cuda.device().fill(bound.out[0].data, 0xff, bound.out[0].elements() * 4);
    cuda.device().run(recorder.take_launches(), 1, 0);
    CHECK_SAME(compare_bits(cuda.out<float>(0), copy_of(cpu.out<float>(0))));
  }
}

TEST_CASE("own convolution: a NaN before the fused quantizer is a fault of its replica") {
  const CodeConv c{.shape = {1, 3, 3, 16, 5, 3, 3, 1, 1}, .quantize = QuantizeAttrs{.range = {0, 255}}};
  const auto fill_with_nan_bias = [&](NodeBench& bench, int replica) {
    fill_codes(bench, replica, c);
    if (replica == 2) bench.in<float>(2, replica)[4] = std::numeric_limits<float>::quiet_NaN();
  };
  check_node(graph_of(c), 0, {.cuda = record_implicit_gemm_cuda, .fill = fill_with_nan_bias});
}

TEST_CASE("own convolution: sums of its blocks of pixels before batch normalisation") {
  for (const GemmChoice choice :
       {GemmChoice{GemmTile::k64x32, GemmArithmetic::kInt8}, GemmChoice{GemmTile::k128x64, GemmArithmetic::kBf16},
        GemmChoice{GemmTile::k128x128, GemmArithmetic::kInt8}}) {
    // The last two: whole blocks only, fewer than a tile has, and one pixel more.
    for (const ConvShape& shape : {ConvShape{2, 9, 7, 16, 35, 3, 3, 1, 1}, ConvShape{5, 6, 5, 16, 130, 1, 1, 1, 0},
                                   ConvShape{1, 1, 1, 16, 3, 1, 1, 1, 0}, ConvShape{1, 8, 8, 16, 9, 1, 1, 1, 0},
                                   ConvShape{1, 5, 13, 16, 9, 1, 1, 1, 0}}) {
      const CodeConv c{.shape = shape};
      Graph g = graph_of(c, choice);
      const Index blocks = norm_blocks(g.spec(g.node(0).outputs[0]).shape.elements() / shape.k);
      std::any_cast<Conv2dAttrs&>(g.node(0).attrs).norm_sums = true;
      g.add_output(0, {{blocks, shape.k, 2}, DType::kF64});
      INFO(x_shape(shape).text() << ", tile " << static_cast<int>(choice.tile));
      check_node(g, 0, {record_implicit_gemm_cuda, [&](NodeBench& b, int r) { fill_codes(b, r, c); }});
    }
  }
}
