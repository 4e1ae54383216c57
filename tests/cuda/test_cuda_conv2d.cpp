// Convolutions on the GPU against the CPU: exact on codes, to tolerance on floats and for gradients.
#include <algorithm>

#include "kernels/conv2d/conv2d.h"
#include "tests/cuda/gpu_node.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Row {
  Index n, size, c, k, filter, stride;
};

// The layers of ESPCN, a strided one of odd sizes, a fully connected one and one of 1x1 filters.
const std::vector<Row> kRows{{16, 17, 3, 64, 5, 1}, {16, 17, 64, 32, 3, 1}, {16, 17, 32, 27, 3, 1},
                             {3, 11, 5, 7, 3, 2},   {5, 1, 64, 10, 1, 1},   {2, 6, 12, 20, 1, 1}};

// Float32 sums in different orders: relative to the terms' magnitudes, which codes times steps make larger.
constexpr Tolerance tolerance(bool codes) { return {.abs = codes ? 1e-3 : 2e-6, .rel = 1e-5}; }

// The convolution; then, as nodes of their own, its two gradients.
Graph conv_graph(const Row& row, bool codes, DType x_codes = DType::kU8) {
  Graph graph;
  const Index pad = row.filter / 2, out = (row.size + 2 * pad - row.filter) / row.stride + 1;
  const ValueId x = graph.add_input("x", {{row.n, row.size, row.size, row.c}, codes ? x_codes : DType::kF32});
  const ValueId w = graph.add_input("w", {{row.k, row.filter, row.filter, row.c}, codes ? DType::kS8 : DType::kF32});
  const ValueId b = graph.add_input("b", {{row.k}, DType::kF32});
  const ValueId dy = graph.add_input("dy", {{row.n, out, out, row.k}, DType::kF32});
  ConvInputs in{x, w, b};
  if (codes) {
    in.x_step = graph.add_input("x_step", {{1}, DType::kF32});
    in.w_step = graph.add_input("w_step", {{row.k}, DType::kF32});
  }
  conv2d(graph, "conv", in, row.stride, pad);
  const Conv2dAttrs attrs{row.stride, pad, {}, row.size, row.size};
  graph.add_node("conv/backward_data", conv2d_backward_data_op(), attrs, {dy, w, in.w_step});
  graph.add_node("conv/backward_weight", conv2d_backward_weight_op(), attrs, {x, dy, w, in.x_step});
  return graph;
}

void fill_conv(NodeBench& bench) {
  unsigned seed = 1;
  for (int i = 0; i < static_cast<int>(bench.bound().in.size()); ++i) {
    const Tensor& t = bench.bound().in[static_cast<std::size_t>(i)];
    if (t.data == nullptr) continue;
    if (t.dtype == DType::kF32) {
      fill(bench.in<float>(i), normal_values(t.elements(), ++seed, 0.05f, t.shape.rank() == 1 ? 0.2f : 0.0f));
    } else {
      fill(bench.in<std::uint8_t>(i), byte_values(t.elements(), ++seed));
    }
  }
}

// Sums of codes in int64, rounded once: stride 1, a frame of filter / 2 zeros, steps of 1, no bias.
std::vector<float> exact_sums(const Row& row, std::span<const std::uint8_t> x, std::span<const std::int8_t> w) {
  std::vector<float> y;
  const Index pad = row.filter / 2;
  for (Index pixel = 0; pixel < row.n * row.size * row.size; ++pixel) {
    const Index image = pixel / (row.size * row.size), p = pixel / row.size % row.size, q = pixel % row.size;
    for (Index k = 0; k < row.k; ++k) {
      std::int64_t sum = 0;
      for (Index tap = 0; tap < row.filter * row.filter; ++tap) {
        const Index h = p + tap / row.filter - pad, v = q + tap % row.filter - pad;
        if (h < 0 || h >= row.size || v < 0 || v >= row.size) continue;
        for (Index c = 0; c < row.c; ++c) {
          sum += std::int64_t{x[static_cast<std::size_t>(((image * row.size + h) * row.size + v) * row.c + c)]} *
                 w[static_cast<std::size_t>((k * row.filter * row.filter + tap) * row.c + c)];
        }
      }
      y.push_back(static_cast<float>(sum));
    }
  }
  return y;
}

// Neither bias nor steps.
void fill_plain(NodeBench& bench) {
  std::fill(bench.in<float>(2).begin(), bench.in<float>(2).end(), 0.0f);
  for (const int steps : {3, 4}) std::fill(bench.in<float>(steps).begin(), bench.in<float>(steps).end(), 1.0f);
}

}  // namespace

TEST_CASE("a convolution on codes on the GPU has exact sums, by the own kernel and by cuDNN") {
  const auto device = gpu();
  for (const ConvEngine engine : {ConvEngine::kOwn, ConvEngine::kCudnn}) {
    for (const DType x : {DType::kU8, DType::kS8}) {
      for (const Row& row : kRows) {
        INFO(row.c << " to " << row.k << " channels, filter " << row.filter << ", stride " << row.stride << ", engine "
                   << static_cast<int>(engine) << ", " << name_of(x));
        Graph graph = conv_graph(row, true, x);
        set_conv_engine(graph, engine);
        NodeBench bench(graph, 0);
        fill_conv(bench);
        for (std::int8_t& w : bench.in<std::int8_t>(1)) w = static_cast<std::int8_t>(w / 2);  // sums below 2^24
        bench.run();
        GpuNode node(*device, graph, 0, bench);
        CHECK(node.status.inexact == 0);
        CHECK_SAME(compare_bits(node.out<float>(0), copy_of(bench.out<float>(0))));
      }
    }
  }
}

TEST_CASE("every tile and arithmetic of the own convolution gives the same bits on the GPU") {
  const auto device = gpu();
  for (const Row& row : {Row{2, 17, 3, 70, 5, 1}, Row{2, 17, 32, 136, 3, 1}}) {  // narrow and wide, all with tails
    Graph graph = conv_graph(row, true);
    auto& attrs = std::any_cast<Conv2dAttrs&>(graph.node(0).attrs);
    attrs.largest_w = 16;
    for (const GemmTile tile : {GemmTile::k64x32, GemmTile::k128x64, GemmTile::k128x128}) {
      for (const GemmArithmetic arithmetic : {GemmArithmetic::kInt8, GemmArithmetic::kBf16}) {
        INFO(row.c << " channels, tile " << static_cast<int>(tile) << ", arithmetic " << static_cast<int>(arithmetic));
        attrs.gemm = GemmChoice{tile, arithmetic};
        NodeBench bench(graph, 0);
        fill_conv(bench);
        for (std::int8_t& w : bench.in<std::int8_t>(1)) w = static_cast<std::int8_t>(w / 8);
        bench.run();
        GpuNode node(*device, graph, 0, bench);
        CHECK_SAME(compare_bits(node.out<float>(0), copy_of(bench.out<float>(0))));
      }
    }
  }
}

TEST_CASE("exact sums just below 2^24 on the GPU") {
  const auto device = gpu();
  const Row row{2, 9, 64, 8, 3, 1};  // 576 terms
  Graph graph = conv_graph(row, true);
  NodeBench bench(graph, 0);
  fill_conv(bench);
  for (std::uint8_t& x : bench.in<std::uint8_t>(0)) x = 255 - x % 3;
  const std::span<std::int8_t> w = bench.in<std::int8_t>(1);
  for (std::size_t i = 0; i < w.size(); ++i) {  // 576 * 114 * 255 = 2^24 - 33k, of one sign or of both
    w[i] = static_cast<std::int8_t>(i % 2 == 1 && i / 576 % 2 == 1 ? -114 : 114);
  }
  fill_plain(bench);
  bench.run();
  for (const ConvEngine engine : {ConvEngine::kOwn, ConvEngine::kCudnn}) {
    set_conv_engine(graph, engine);
    GpuNode node(*device, graph, 0, bench);
    CHECK(node.status.inexact == 0);
    CHECK_SAME(compare_bits(node.out<float>(0), copy_of(bench.out<float>(0))));
  }
}

TEST_CASE("exact sums of up to 4608 terms on the GPU equal those of int64") {
  const auto device = gpu();
  for (const Index channels : {64, 256, 512}) {
    const Row row{2, 5, channels, 9, 3, 1};
    const int bf16_bound = static_cast<int>((Index{1} << 24) / (9 * channels * 255));
    Graph graph = conv_graph(row, true);
    auto& attrs = std::any_cast<Conv2dAttrs&>(graph.node(0).attrs);
    for (const GemmArithmetic arithmetic : {GemmArithmetic::kInt8, GemmArithmetic::kBf16}) {
      const int bound = arithmetic == GemmArithmetic::kInt8 ? 127 : bf16_bound;
      attrs.gemm = GemmChoice{GemmTile::k64x32, arithmetic};
      attrs.largest_w = bound;
      for (const bool extreme : {false, true}) {  // extreme: all of one sign, or signs that cancel late
        INFO(9 * channels << " terms, arithmetic " << static_cast<int>(arithmetic) << ", extreme " << extreme);
        NodeBench bench(graph, 0);
        fill_conv(bench);
        fill_plain(bench);
        const std::span<std::int8_t> w = bench.in<std::int8_t>(1);
        const std::size_t terms = w.size() / 9;
        for (std::size_t i = 0; i < w.size(); ++i) {
          const int sign = i / terms % 2 == 1 && i % terms >= terms / 2 ? -1 : 1;
          w[i] = static_cast<std::int8_t>(extreme ? sign * bound : w[i] % (bound + 1));
        }
        if (extreme) std::fill(bench.in<std::uint8_t>(0).begin(), bench.in<std::uint8_t>(0).end(), std::uint8_t{255});
        GpuNode node(*device, graph, 0, bench);
        CHECK_SAME(compare_bits(node.out<float>(0), exact_sums(row, bench.in<std::uint8_t>(0), w)));
      }
    }
  }
}

TEST_CASE("a convolution on floats and all gradients on the GPU agree with the CPU") {
  const auto device = gpu();
  for (const bool codes : {false, true}) {
    for (const Row& row : kRows) {
      INFO((codes ? "codes, " : "floats, ")
           << row.c << " to " << row.k << " channels, filter " << row.filter << ", stride " << row.stride);
      const Graph graph = conv_graph(row, codes);
      for (const NodeId id : {0, 1, 2}) {
        if (codes && id == 0) continue;
        NodeBench bench(graph, id);
        fill_conv(bench);
        bench.run();
        GpuNode node(*device, graph, id, bench);
        INFO(graph.node(id).name);
        CHECK_SAME(compare(node.out<float>(0), bench.out<float>(0), tolerance(codes)));
        if (id == 2) CHECK_SAME(compare(node.out<float>(1), bench.out<float>(1), tolerance(codes)));
      }
    }
  }
}
