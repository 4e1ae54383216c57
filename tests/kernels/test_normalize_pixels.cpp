// Normalised pixels: the formula, every code, odd sizes, orders of tasks, replicas, what is refused.
#include "kernels/normalize_pixels/normalize_pixels.h"

#include "tests/golden/resnet/normalized_golden.h"
#include "tests/reference/normalize_oracle.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

Graph graph_of(const Shape& shape, const Normalization& attrs, DType type = DType::kU8) {
  Graph graph;
  normalize_pixels(graph, "normalize", graph.add_input("x", {shape, type}), attrs);
  return graph;
}

}  // namespace

TEST_CASE("normalised pixels equal their formula", "[kernels]") {
  const double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
  for (const Shape& shape :
       {Shape{3}, Shape{1, 1, 1, 3}, Shape{1, 5, 7, 3}, Shape{11, 3, 2, 3}, Shape{2, 61, 67, 3}, Shape{1, 16, 16, 3}}) {
    const Graph graph = graph_of(shape, parse_normalization("imagenet"));
    NodeBench bench(graph, 0, 2);
    for (int r = 0; r < 2; ++r) fill(bench.in<std::uint8_t>(0, r), byte_values(shape.elements(), 5 + unsigned(r)));
    if (shape == Shape{1, 16, 16, 3}) {
      for (std::size_t i = 0; i < 768; ++i) bench.in<std::uint8_t>(0, 1)[i] = static_cast<std::uint8_t>(i / 3);
    }
    for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kReverse, TaskOrder::kShuffled}) {
      bench.run(order);
      for (int r = 0; r < 2; ++r) {
        const auto want = normalize_oracle(copy_of(bench.in<std::uint8_t>(0, r)), mean, deviation);
        CHECK_SAME(compare(bench.out<float>(0, r), want, {.abs = 4e-7}));
      }
    }
  }
}

TEST_CASE("normalised pixels are torchvision's to the last bit", "[kernels][golden]") {
  const auto count = static_cast<Index>(kNormalizedCodes.size());
  for (const auto& [name, want] :
       {std::pair{"imagenet", kNormalizedImagenet}, std::pair{"cifar10", kNormalizedCifar10}}) {
    INFO(name);
    const Graph graph = graph_of({count, 3}, parse_normalization(name));
    NodeBench bench(graph, 0);
    const auto x = bench.in<std::uint8_t>(0);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = kNormalizedCodes[i / 3];
    bench.run();
    CHECK_SAME(compare_bits(bench.out<float>(0), want));
  }
}

TEST_CASE("what cannot be normalised is refused", "[kernels]") {
  CHECK_THROWS_AS(graph_of({2, 4}, {}), ConfigError);
  CHECK_THROWS_AS(graph_of(Shape{}, {}), ConfigError);
  CHECK_THROWS_AS(graph_of({2, 3}, {}, DType::kF32), ConfigError);
  CHECK_THROWS_AS(graph_of({2, 3}, {{0.0f, 0.0f, 0.0f}, {1.0f, 0.0f, 1.0f}}), ConfigError);
}
