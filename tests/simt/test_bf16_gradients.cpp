// The own gradients of convolutions in bfloat16 against double loops: the same cases as on the CPU (tests/bf16), and
// those that fill tiles, stages and pieces.
#include "kernels/conv2d/bf16_gradients.h"
#include "tests/kernels/bf16_gradient_cases.h"
#include "tests/simt/compare_nodes.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

// What the node's launches want on CUDA.
#if defined(GRIDSTEP_SIMT)
ConvGeometry geometry(const ConvShape& a) { return conv_geometry(x_shape(a), w_shape(a), a.stride, a.pad); }
Bytes data_workspace(const NodeBench&, const ConvShape& a) { return bf16_data_gradient_workspace(geometry(a)); }
Bytes weight_workspace(const NodeBench&, const ConvShape& a) { return bf16_weight_gradient_workspace(geometry(a)); }
#else
Bytes data_workspace(const NodeBench& bench, const ConvShape&) { return gpu_workspace(bench); }
Bytes weight_workspace(const NodeBench& bench, const ConvShape&) { return gpu_workspace(bench); }
#endif

// Without the largest, whose double loops take most of the time, and the thread sanitizer fifty times that.
std::vector<ConvShape> small_shapes() {
#if defined(SIMT_TSAN)
  constexpr Index kMostProducts = 100000;
#else
  constexpr Index kMostProducts = 1500000;
#endif
  std::vector<ConvShape> shapes = bf16_shapes();
  std::erase_if(shapes, [](const ConvShape& a) { return a.y_size() * a.r * a.s * a.c > kMostProducts; });
  return shapes;
}

// Under every schedule the same bits, which are checked afterwards.
void run_all(NodeBench& bench, RecordFn record, Bytes workspace, int random_schedules) {
  bench.set_workspace(workspace);
  std::vector<std::vector<std::byte>> first;
  for_each_schedule(random_schedules, [&] {
    run_cuda(bench, record, 0);
    std::vector<std::vector<std::byte>> bytes;
    for (const Tensor& t : bench.bound().out)
      for (int r = 0; r < bench.replicas(); ++r) bytes.push_back(bytes_of(t, r));
    if (first.empty()) first = bytes;
    CHECK(bytes == first);
  });
}

GradientRunner cuda(int replicas = 1, int random_schedules = 0, GemmTile tile = GemmTile::k64x32) {
  return {.device = DeviceKind::kCuda,
          .replicas = replicas,
          .gemm = GemmChoice{tile, GemmArithmetic::kBf16},
          .data =
              [=](NodeBench& bench, const ConvShape& a) {
                run_all(bench, record_bf16_data_gradient_cuda, data_workspace(bench, a), random_schedules);
              },
          .weight =
              [=](NodeBench& bench, const ConvShape& a) {
                run_all(bench, record_bf16_weight_gradient_cuda, weight_workspace(bench, a), random_schedules);
              }};
}

}  // namespace

TEST_CASE("own gradients in bfloat16: on floats, the shapes of the CPU's tests") {
  unsigned seed = 1;
  for (const ConvShape& a : small_shapes()) {
    INFO(text_of(a));
    check_floats(a, seed += 10, cuda());
  }
}

TEST_CASE("own gradients in bfloat16: on codes, the shapes of the CPU's tests") {
  unsigned seed = 500;
  for (const ConvShape& a : small_shapes()) {
    INFO(text_of(a));
    check_codes(a, {DType::kU8, {0, 255}, true}, seed += 10, cuda());
    check_codes(a, {DType::kS8, {-128, 127}, false}, seed += 10, cuda());
  }
}

TEST_CASE("own gradients in bfloat16: replicas keep apart, in every schedule") {
  check_floats({2, 7, 9, 5, 11, 3, 3, 2, 1}, 1, cuda(3, 1));
  check_codes({2, 6, 5, 12, 9, 3, 3, 1, 1}, {DType::kU8, {0, 255}, true}, 2, cuda(3, 1));
}

TEST_CASE("own gradients in bfloat16: several tiles of rows and columns, narrow and wide") {
  for (const GemmTile tile : {GemmTile::k64x32, GemmTile::k128x64}) {
    check_floats({1, 3, 50, 130, 70, 1, 1, 1, 0}, 1, cuda(1, 0, tile));
    check_floats({2, 9, 11, 72, 16, 3, 3, 2, 1}, 2, cuda(1, 0, tile));
    check_codes({2, 9, 12, 72, 33, 3, 3, 2, 1}, {DType::kU8, {0, 255}, true}, 3, cuda(1, 0, tile));
  }
}

namespace {

// dx, dw and db of the last replica: its operands are the same whatever the number of replicas.
std::vector<std::byte> bits_of_last(const ConvShape& a, int replicas, const GradientRunner& runner) {
  ConvNodes nodes = float_nodes(a, kBf16);
  set_gemm(nodes.graph, runner);
  NodeBench data(nodes.graph, 1, replicas, DeviceKind::kCuda), weight(nodes.graph, 2, replicas, DeviceKind::kCuda);
  for (int r = 0; r < replicas; ++r) {
    const unsigned seed = static_cast<unsigned>(replicas - r);
    const auto dy = normal_values(a.y_size(), seed);
    fill(data.in<float>(0, r), dy);
    fill(data.in<float>(1, r), normal_values(a.w_size(), seed + 50));
    fill(weight.in<float>(0, r), normal_values(a.x_size(), seed + 100));
    fill(weight.in<float>(1, r), dy);
  }
  runner.data(data, a);
  runner.weight(weight, a);
  std::vector<std::byte> all = bytes_of(data.bound().out[0], replicas - 1);
  for (const Tensor& t : weight.bound().out) {
    const auto bytes = bytes_of(t, replicas - 1);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

}  // namespace

TEST_CASE("own gradients in bfloat16: the bits of a replica depend on neither the others nor the tile") {
  const ConvShape a{3, 19, 17, 40, 9, 1, 1, 1, 0};  // 969 pixels: 3 pieces
  const auto alone = bits_of_last(a, 1, cuda());
  CHECK(bits_of_last(a, 3, cuda()) == alone);
  CHECK(bits_of_last(a, 2, cuda(1, 0, GemmTile::k128x64)) == alone);
  GradientRunner unforced = cuda();
  unforced.gemm.reset();
  CHECK(bits_of_last(a, 1, unforced) == alone);   // narrow
  CHECK(bits_of_last(a, 17, unforced) == alone);  // wide: 136 blocks
}

TEST_CASE("own gradients in bfloat16: whole tiles, and one pixel, channel or filter short of them") {
  unsigned seed = 100;
  for (const Index short_of : {0, 1}) {
    // Data: 64 pixels x 32 channels, and 128 x 64. Weight: 32 or 64 filters x 64 columns.
    check_floats({1, 1, 64 - short_of, 32 - short_of, 64 - short_of, 1, 1, 1, 0}, seed += 10, cuda());
    check_floats({1, 2, 64, 64 - short_of, 64 + short_of, 1, 1, 1, 0}, seed += 10, cuda(1, 0, GemmTile::k128x64));
    check_floats({1, 1, 128 - short_of, 40, 32 - short_of, 1, 1, 1, 0}, seed += 10, cuda(1, 0, GemmTile::k128x64));
  }
}

TEST_CASE("own gradients in bfloat16: several pieces of pixels, the last one short") {
  check_floats({1, 23, 23, 3, 5, 3, 3, 1, 1}, 1, cuda(2));                               // 529 pixels, 2 pieces of 288
  check_codes({3, 16, 16, 9, 4, 3, 3, 1, 1}, {DType::kU8, {0, 255}, false}, 2, cuda());  // 768, 3 of 256
  check_floats({1, 5, 461, 16, 8, 1, 1, 1, 0}, 4, cuda());  // 2305, 8 of 288 and one of a single pixel
  check_floats({1, 48, 48, 16, 8, 1, 1, 1, 0}, 3, cuda());  // 2304, 9: more than the lanes of their sum
}

TEST_CASE("own gradients in bfloat16: phases of strided convolutions without taps or pixels") {
  unsigned seed = 300;
  for (const Index pad : {0, 1}) {
    check_floats({1, 5, 4, 8, 8, 1, 1, 2, 0}, seed += 10, cuda());
    check_floats({1, 4, 5, 3, 8, 3, 3, 2, pad}, seed += 10, cuda());
    check_floats({2, 1, 6, 3, 8, 1, 3, 2, pad}, seed += 10, cuda());
    check_floats({2, 2, 2, 3, 8, 2, 2, 2, pad}, seed += 10, cuda());
  }
}

TEST_CASE("own gradients in bfloat16: NaN and infinity of dy are kept, and stay in their replica") {
  const ConvShape a{2, 6, 6, 16, 16, 3, 3, 1, 1};
  const ConvNodes nodes = float_nodes(a, kBf16);
  const auto is_bad = [](float v) { return !std::isfinite(v); };
  const auto any_bad = [&](std::span<float> v) { return std::any_of(v.begin(), v.end(), is_bad); };
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    NodeBench data(nodes.graph, 1, 2, DeviceKind::kCuda), weight(nodes.graph, 2, 2, DeviceKind::kCuda);
    for (int r = 0; r < 2; ++r) {
      auto dy = normal_values(a.y_size(), 1);
      if (r == 1) dy[5] = bad;
      fill(data.in<float>(0, r), dy);
      fill(data.in<float>(1, r), normal_values(a.w_size(), 2));
      fill(weight.in<float>(0, r), normal_values(a.x_size(), 3));
      fill(weight.in<float>(1, r), dy);
    }
    cuda().data(data, a);
    cuda().weight(weight, a);
    for (int r = 0; r < 2; ++r) {
      CHECK(any_bad(data.out<float>(0, r)) == (r == 1));
      CHECK(any_bad(weight.out<float>(0, r)) == (r == 1));
      CHECK(any_bad(weight.out<float>(1, r)) == (r == 1));
    }
  }
}

#if defined(GRIDSTEP_SIMT)
TEST_CASE("own gradients in bfloat16: a gradient of weights that is not aligned to 16 bytes") {
  const ConvShape a{1, 5, 5, 8, 4, 3, 3, 1, 1};
  ConvNodes nodes = float_nodes(a, kBf16);
  NodeBench bench(nodes.graph, 2, 1, DeviceKind::kCuda);
  fill(bench.in<float>(0), normal_values(a.x_size(), 1));
  fill(bench.in<float>(1), normal_values(a.y_size(), 2));
  bench.set_workspace(bf16_weight_gradient_workspace(geometry(a)));
  bench.run(TaskOrder::kForward, record_bf16_weight_gradient_cuda);
  std::vector<float> moved(static_cast<std::size_t>(a.w_size()) + 1, 7.0f);
  BoundNode bound = bench.bound();
  bound.out[0].data = reinterpret_cast<std::byte*>(moved.data() + 1);
  Recorder recorder(bench.device(), 1, &bench.params(), &bench.status());
  recorder.set_node(0, "moved");
  record_bf16_weight_gradient_cuda(recorder, bound);
  bench.device().run(recorder.take_launches(), 1, 0);
  CHECK(moved[0] == 7.0f);
  CHECK_SAME(compare_bits(std::span<const float>(moved).subspan(1), bench.out<float>(0)));
}

TEST_CASE("own gradients in bfloat16: geometries that they do not take are refused") {
  CHECK_THROWS_AS(bf16_data_gradient_workspace(geometry({1, 9, 9, 8, 8, 3, 3, 3, 1})), ConfigError);
  CHECK_NOTHROW(bf16_weight_gradient_workspace(geometry({1, 9, 9, 8, 8, 3, 3, 3, 1})));
  const ConvShape large{1 << 16, 256, 256, 8, 8, 1, 1, 1, 0};
  CHECK_THROWS_AS(bf16_data_gradient_workspace(geometry(large)), ConfigError);
  CHECK_THROWS_AS(bf16_weight_gradient_workspace(geometry(large)), ConfigError);
}
#endif
