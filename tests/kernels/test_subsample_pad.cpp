#include "kernels/subsample_pad/subsample_pad.h"

#include "kernels/add/add.h"
#include "kernels/image_loss/image_loss.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/graph_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Case {
  Index n, h, w, c, stride, before, after;
};

// y by its definition; the backward is checked as the transpose of the same map.
std::vector<float> oracle(const Case& k, std::span<const float> x, bool transposed) {
  const Index p = (k.h + k.stride - 1) / k.stride, q = (k.w + k.stride - 1) / k.stride,
              channels = k.before + k.c + k.after;
  std::vector<float> out(static_cast<std::size_t>(transposed ? k.n * k.h * k.w * k.c : k.n * p * q * channels), 0.0f);
  for (Index i = 0; i < k.n; ++i)
    for (Index row = 0; row < p; ++row)
      for (Index column = 0; column < q; ++column)
        for (Index c = 0; c < k.c; ++c) {
          const auto small = static_cast<std::size_t>(((i * p + row) * q + column) * channels + k.before + c);
          const auto large = static_cast<std::size_t>(((i * k.h + row * k.stride) * k.w + column * k.stride) * k.c + c);
          out[transposed ? large : small] = x[transposed ? small : large];
        }
  return out;
}

}  // namespace

TEST_CASE("subsample_pad moves values as defined, and its backward is the transpose", "[kernels]") {
  for (const Case& k : {Case{1, 1, 1, 1, 2, 0, 0}, Case{2, 4, 6, 3, 2, 1, 2}, Case{9, 5, 3, 16, 2, 8, 8},
                        Case{3, 7, 7, 5, 3, 0, 4}, Case{2, 3, 4, 2, 1, 2, 0}}) {
    const SubsamplePadAttrs attrs{k.stride, k.before, k.after, k.h, k.w};
    INFO(k.n << "x" << k.h << "x" << k.w << "x" << k.c << " stride " << k.stride);
    Graph graph;
    const ValueId x = graph.add_input("x", {{k.n, k.h, k.w, k.c}, DType::kF32});
    const ValueId y = subsample_pad(graph, "small", x, attrs);
    graph.add_node("back", subsample_pad_backward_op(), attrs, {y});
    NodeBench small(graph, 0, 2), back(graph, 1, 2);
    for (int r = 0; r < 2; ++r) {
      fill(small.in<float>(0, r), normal_values(k.n * k.h * k.w * k.c, static_cast<unsigned>(r) + 1));
      fill(back.in<float>(0, r), normal_values(graph.spec(y).shape.elements(), static_cast<unsigned>(r) + 5));
    }
    small.run(TaskOrder::kShuffled);
    back.run(TaskOrder::kReverse);
    for (int r = 0; r < 2; ++r) {
      CHECK_SAME(compare_exact(small.out<float>(0, r), oracle(k, small.in<float>(0, r), false)));
      CHECK_SAME(compare_exact(back.out<float>(0, r), oracle(k, back.in<float>(0, r), true)));
    }
  }
}

TEST_CASE("the gradient rule of subsample_pad agrees with differences", "[kernels]") {
  const Shape shape{2, 5, 4, 3};
  Graph graph;
  const ValueId x = add_trained(graph, "x", shape);
  const ValueId y = subsample_pad(graph, "small", x, {.stride = 2, .before = 1, .after = 2});
  const ValueId target = graph.add_input("target", {graph.spec(y).shape, DType::kU8});
  const ValueId loss = image_loss(graph, "loss", y, target, LossKind::kMse);
  const auto at = normal_values(shape.elements(), 3, 0.3f, 2.0f);
  CHECK_SAME(check_gradient(graph, loss, x, add_op(), at, 1e-3f, {.abs = 2e-4, .rel = 5e-3}, [&](GraphBench& bench) {
    fill(bench.values<std::uint8_t>(target), byte_values(graph.spec(y).shape.elements(), 5));
  }));
}

TEST_CASE("subsample_pad refuses what it cannot do", "[kernels]") {
  Graph graph;
  const ValueId x = graph.add_input("x", {{1, 2, 2, 1}, DType::kF32}),
                codes = graph.add_input("c", {{1, 2, 2, 1}, DType::kU8});
  CHECK_THROWS_AS(subsample_pad(graph, "a", codes, {}), ConfigError);
  CHECK_THROWS_AS(subsample_pad(graph, "b", x, {.stride = 0}), ConfigError);
  CHECK_THROWS_AS(subsample_pad(graph, "d", x, {.before = -1}), ConfigError);
  CHECK_THROWS_AS(graph.add_node("e", subsample_pad_backward_op(), SubsamplePadAttrs{2, 1, 0, 9, 9}, {x}), ConfigError);
}
