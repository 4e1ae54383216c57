// psnr and ssim.
#include <cmath>
#include <limits>

#include "kernels/psnr/psnr.h"
#include "kernels/ssim/ssim.h"
#include "tests/reference/psnr_oracle.h"
#include "tests/reference/ssim_oracle.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

Graph psnr_graph(Index height, Index width, PsnrAttrs attrs) {
  Graph graph;
  const Shape shape{1, height, width, 3};
  psnr(graph, "psnr", graph.add_input("prediction", {shape, DType::kF32}),
       graph.add_input("target", {shape, DType::kU8}), attrs);
  return graph;
}

Graph ssim_graph(Index height, Index width, SsimAttrs attrs) {
  Graph graph;
  const Shape shape{1, height, width, 3};
  ssim(graph, "ssim", graph.add_input("a", {shape, DType::kU8}), graph.add_input("b", {shape, DType::kU8}), attrs);
  return graph;
}

std::vector<std::uint8_t> near_image(const std::vector<std::uint8_t>& image, unsigned seed, float deviation) {
  const std::vector<float> noise = normal_values(static_cast<Index>(image.size()), seed, deviation);
  std::vector<std::uint8_t> result;
  for (std::size_t i = 0; i < image.size(); ++i) {
    result.push_back(static_cast<std::uint8_t>(
        std::fmin(255.0f, std::fmax(0.0f, std::nearbyint(static_cast<float>(image[i]) + noise[i])))));
  }
  return result;
}

struct Size {
  int height, width, rgb_crop, y_crop;
};

}  // namespace

TEST_CASE("psnr equals its definition, with crops and clamping", "[kernels]") {
  for (const Size k :
       {Size{1, 1, 0, 0}, Size{5, 7, 1, 2}, Size{33, 41, 9, 3}, Size{10, 1100, 3, 4}, Size{23, 24, 0, 11}}) {
    INFO(k.height << 'x' << k.width);
    const Index n = Index{3} * k.height * k.width;
    const Graph graph = psnr_graph(k.height, k.width, {.rgb_crop = k.rgb_crop, .y_crop = k.y_crop});
    NodeBench bench(graph, 0, 2);
    for (int replica = 0; replica < 2; ++replica) {
      fill(bench.in<float>(0, replica),
           normal_values(n, static_cast<unsigned>(replica), 0.4f, 0.5f));  // some lie outside of [0, 1]
      fill(bench.in<std::uint8_t>(1, replica), byte_values(n, static_cast<unsigned>(replica) + 3));
    }
    for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kShuffled}) {
      bench.run(order);
      for (int replica = 0; replica < 2; ++replica) {
        ImageOracle shown{k.height, k.width, {}};
        for (const float v : bench.in<float>(0, replica)) shown.code.push_back(code_oracle(v));
        const ImageOracle target{k.height, k.width, copy_of(bench.in<std::uint8_t>(1, replica))};
        const double rgb = mse_rgb_oracle(shown, target, k.rgb_crop), y = mse_y_oracle(shown, target, k.y_crop);
        CHECK_SAME(compare(bench.out<double>(0, replica), std::vector{psnr_oracle(rgb), psnr_oracle(y), rgb, y},
                           {.rel = 1e-11}));
      }
    }
  }
}

TEST_CASE("psnr of an exact image is 100, of NaN is NaN only where it lies", "[kernels]") {
  const Graph graph = psnr_graph(6, 6, {.rgb_crop = 0, .y_crop = 2});
  NodeBench bench(graph, 0);
  fill(bench.in<std::uint8_t>(1), byte_values(108, 1));
  for (std::size_t i = 0; i < 108; ++i)
    bench.in<float>(0)[i] = static_cast<float>(bench.in<std::uint8_t>(1)[i]) * (1.0f / 255.0f);
  bench.run();
  CHECK_SAME(compare_exact(bench.out<double>(0), std::vector{100.0, 100.0, 0.0, 0.0}));
  bench.in<float>(0)[0] = std::numeric_limits<float>::quiet_NaN();
  bench.run();
  CHECK(std::isnan(bench.out<double>(0)[0]));
  CHECK(bench.out<double>(0)[1] == 100.0);
  bench.in<float>(0)[(2 * 6 + 2) * 3] = std::numeric_limits<float>::quiet_NaN();
  bench.run();
  CHECK(std::isnan(bench.out<double>(0)[1]));
}

TEST_CASE("ssim equals its definition", "[kernels]") {
  for (const Size k : {Size{11, 11, 0, 0}, Size{19, 27, 3, 4}, Size{40, 23, 1, 6}}) {
    INFO(k.height << 'x' << k.width);
    const Index n = Index{3} * k.height * k.width;
    const Graph graph = ssim_graph(k.height, k.width, {.rgb_crop = k.rgb_crop, .y_crop = k.y_crop});
    NodeBench bench(graph, 0, 2);
    for (int replica = 0; replica < 2; ++replica) {
      const std::vector<std::uint8_t> image = byte_values(n, static_cast<unsigned>(replica));
      fill(bench.in<std::uint8_t>(0, replica), image);
      fill(bench.in<std::uint8_t>(1, replica), near_image(image, 9, 40.0f));
    }
    for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kReverse, TaskOrder::kShuffled}) {
      bench.run(order);
      for (int replica = 0; replica < 2; ++replica) {
        const ImageOracle a{k.height, k.width, copy_of(bench.in<std::uint8_t>(0, replica))};
        const ImageOracle b{k.height, k.width, copy_of(bench.in<std::uint8_t>(1, replica))};
        double rgb = 0.0;
        for (int channel = 0; channel < 3; ++channel) {
          rgb += ssim_oracle(a, b, k.rgb_crop,
                             [=](const ImageOracle& i, int row, int column) { return i.rgb(row, column, channel); }) /
                 3;
        }
        const double y =
            ssim_oracle(a, b, k.y_crop, [](const ImageOracle& i, int row, int column) { return i.luma(row, column); });
        CHECK(y < 0.999);
        CHECK_SAME(compare(bench.out<double>(0, replica), std::vector{rgb, y}, {.rel = 1e-10}));
      }
    }
  }
}

TEST_CASE("ssim of equal images is one, of flat ones too", "[kernels]") {
  const Graph graph = ssim_graph(16, 16, {});
  NodeBench bench(graph, 0);
  for (const bool flat : {false, true}) {
    const std::vector<std::uint8_t> image = flat ? std::vector<std::uint8_t>(768, 93) : byte_values(768, 4);
    fill(bench.in<std::uint8_t>(0), image);
    fill(bench.in<std::uint8_t>(1), image);
    bench.run();
    CHECK_SAME(compare(bench.out<double>(0), std::vector{1.0, 1.0}, {.rel = 1e-12}));
  }
}

TEST_CASE("crops that leave nothing are refused", "[kernels]") {
  CHECK_THROWS_WITH(psnr_graph(8, 20, {.rgb_crop = 4}), Catch::Matchers::Contains("rgb_crop 4"));
  CHECK_THROWS_WITH(psnr_graph(8, 20, {.y_crop = -1}), Catch::Matchers::Contains("y_crop"));
  CHECK_NOTHROW(ssim_graph(11, 11, {}));
  CHECK_THROWS_AS(ssim_graph(10, 30, {}), ConfigError);
  CHECK_THROWS_AS(ssim_graph(30, 30, {.y_crop = 10}), ConfigError);
  Graph graph;
  const ValueId two = graph.add_input("p", {Shape{2, 4, 4, 3}, DType::kF32}),
                target = graph.add_input("t", {Shape{2, 4, 4, 3}, DType::kU8});
  CHECK_THROWS_AS(psnr(graph, "psnr", two, target, {}), ConfigError);
}
