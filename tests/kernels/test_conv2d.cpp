// conv2d on floats: against double loops and PyTorch.
#include "engine/graph/backward.h"
#include "kernels/add/add.h"
#include "kernels/image_loss/image_loss.h"
#include "tests/golden/conv/conv_golden.h"
#include "tests/kernels/conv2d_bench.h"
#include "tests/support/compare.h"
#include "tests/support/graph_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

// A float sum may be off by a small multiple of its terms' magnitude, whatever its value.
Comparison compare_sums(std::span<float> got, const ConvSums& want, double tolerance) {
  if (got.size() != want.values.size()) return compare(got, want.values, {});
  std::vector<double> error;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error.push_back((static_cast<double>(got[i]) - want.values[i]) / (want.magnitudes[i] + 1e-30));
  }
  return compare(error, std::vector<double>(error.size(), 0.0), {.abs = tolerance});
}

struct Data {
  std::vector<float> x, w, b, dy;
};

void run_passes(
    const ConvNodes& nodes, const std::vector<Data>& replicas, TaskOrder order,
    const std::function<void(int, std::span<float>, std::span<float>, std::span<float>, std::span<float>)>& check) {
  const int count = static_cast<int>(replicas.size());
  NodeBench forward(nodes.graph, 0, count), data(nodes.graph, 1, count), weight(nodes.graph, 2, count);
  for (int r = 0; r < count; ++r) {
    const Data& d = replicas[static_cast<std::size_t>(r)];
    fill(forward.in<float>(0, r), d.x);
    fill(forward.in<float>(1, r), d.w);
    fill(forward.in<float>(2, r), d.b);
    fill(data.in<float>(0, r), d.dy);
    fill(data.in<float>(1, r), d.w);
    fill(weight.in<float>(0, r), d.x);
    fill(weight.in<float>(1, r), d.dy);
  }
  for (NodeBench* bench : {&forward, &data, &weight}) bench->run(order);
  for (int r = 0; r < count; ++r) {
    check(r, forward.out<float>(0, r), data.out<float>(0, r), weight.out<float>(0, r), weight.out<float>(1, r));
  }
}

std::string text(const ConvShape& a) {
  return x_shape(a).text() + " * " + w_shape(a).text() + " stride " + std::to_string(a.stride) + " pad " +
         std::to_string(a.pad);
}

// The script's formula.
std::vector<double> made(std::int64_t count, std::int64_t salt) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<double>((i + 1) * (2 * salt + 7) % 29 - 14) / 16.0);
  return values;
}

std::vector<float> floats(const std::vector<double>& v) { return {v.begin(), v.end()}; }

}  // namespace

TEST_CASE("convolution and its gradients equal double loops", "[kernels]") {
  unsigned seed = 1;
  for (const ConvShape& a : conv_shapes()) {
    INFO(text(a));
    const ConvNodes nodes = float_nodes(a);
    REQUIRE(nodes.graph.spec(nodes.y).shape == y_shape(a));
    std::vector<Data> replicas;
    for (int r = 0; r < 2; ++r, seed += 10) {
      replicas.push_back({normal_values(a.x_size(), seed), normal_values(a.w_size(), seed + 1),
                          normal_values(a.k, seed + 2), normal_values(a.y_size(), seed + 3)});
    }
    run_passes(nodes, replicas, TaskOrder::kShuffled,
               [&](int r, std::span<float> y, std::span<float> dx, std::span<float> dw, std::span<float> db) {
                 const Data& d = replicas[static_cast<std::size_t>(r)];
                 const auto x = doubles(d.x), w = doubles(d.w), dy = doubles(d.dy);
                 CHECK_SAME(compare_sums(y, conv_forward(a, x, w, doubles(d.b)), 6e-7));
                 CHECK_SAME(compare_sums(dx, conv_backward_data(a, dy, w), 6e-7));
                 CHECK_SAME(compare_sums(dw, conv_backward_weight(a, x, dy), 1e-6));
                 CHECK_SAME(compare_sums(db, conv_backward_bias(a, dy), 1e-6));
               });
  }
}

TEST_CASE("convolution without bias adds nothing and has no bias gradient", "[kernels]") {
  const ConvShape a{9, 6, 5, 5, 7, 3, 3, 2, 1};
  Graph bare;
  const ValueId x = add_trained(bare, "x", x_shape(a)), w = add_trained(bare, "w", w_shape(a));
  const ValueId y = conv2d(bare, "conv", {x, w}, a.stride, a.pad);
  const ValueId target = bare.add_input("target", {y_shape(a), DType::kU8});
  const ValueId loss = image_loss(bare, "loss", y, target, LossKind::kMse);
  differentiate(bare, loss, add_op());
  GraphBench bench(bare);
  const Data d{normal_values(a.x_size(), 1), normal_values(a.w_size(), 2), {}, {}};
  fill(bench.values<float>(x), d.x);
  fill(bench.values<float>(w), d.w);
  fill(bench.values<std::uint8_t>(target), byte_values(a.y_size(), 3));
  bench.run();
  const std::vector<double> zeros(static_cast<std::size_t>(a.k), 0.0);
  CHECK_SAME(compare_sums(bench.values<float>(y), conv_forward(a, doubles(d.x), doubles(d.w), zeros), 6e-7));
  for (const GraphValue& value : bare.values()) CHECK(value.name.find("bias") == std::string::npos);
}

TEST_CASE("convolution equals PyTorch", "[kernels][golden]") {
  for (const ConvGolden& row : kConvGolden) {
    const auto& [n, h, w, c, k, r, s, stride, pad] = row.shape;
    const ConvShape a{n, h, w, c, k, r, s, stride, pad};
    INFO(text(a));
    const std::vector<Data> data{
        {floats(made(a.x_size(), 1)), floats(made(a.w_size(), 2)), floats(made(a.k, 3)), floats(made(a.y_size(), 4))}};
    run_passes(float_nodes(a), data, TaskOrder::kForward,
               [&](int, std::span<float> y, std::span<float> dx, std::span<float> dw, std::span<float> db) {
                 CHECK_SAME(compare_exact(y, row.y));  // binary fractions: nothing rounds
                 CHECK_SAME(compare_exact(dx, row.dx));
                 CHECK_SAME(compare_exact(dw, row.dw));
                 CHECK_SAME(compare_exact(db, row.db));
               });
  }
}

TEST_CASE("convolution gives the same bits in every order of tasks, and for one replica or several", "[kernels]") {
  const ConvShape a{9, 6, 5, 5, 7, 3, 3, 1, 1};
  const ConvNodes nodes = float_nodes(a);
  const auto data = [&](unsigned seed) {
    return Data{normal_values(a.x_size(), seed), normal_values(a.w_size(), seed + 1), normal_values(a.k, seed + 2),
                normal_values(a.y_size(), seed + 3)};
  };
  std::vector<float> solo;
  const auto collect = [](std::vector<float>& to, auto... parts) {
    (to.insert(to.end(), parts.begin(), parts.end()), ...);
  };
  run_passes(nodes, {data(40)}, TaskOrder::kForward,
             [&](int, auto y, auto dx, auto dw, auto db) { collect(solo, y, dx, dw, db); });
  for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kReverse, TaskOrder::kShuffled}) {
    run_passes(nodes, {data(10), data(20), data(40)}, order, [&](int r, auto y, auto dx, auto dw, auto db) {
      if (r != 2) return;
      std::vector<float> got;
      collect(got, y, dx, dw, db);
      CHECK_SAME(compare_bits(got, solo));
    });
  }
}

TEST_CASE("convolution keeps NaN and infinity", "[kernels]") {
  const ConvShape a{1, 1, 3, 1, 2, 1, 1, 1, 0};
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const std::vector<Data> data{{{1.0f, nan, inf}, {1.0f, 2.0f}, {0.0f, 0.0f}, {1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f}}};
  run_passes(
      float_nodes(a), data, TaskOrder::kForward,
      [&](int, std::span<float> y, std::span<float>, std::span<float> dw, std::span<float>) {
        CHECK((y[0] == 1.0f && y[1] == 2.0f && std::isnan(y[2]) && std::isnan(y[3]) && y[4] == inf && y[5] == inf));
        CHECK(std::isnan(dw[0]));
      });
}

TEST_CASE("gradients of convolution reach x, w and b", "[kernels]") {
  const ConvShape a{2, 4, 3, 2, 3, 3, 3, 1, 1};
  for (const std::string wanted : {"x", "w", "b"}) {
    INFO(wanted);
    Graph graph;
    const ValueId x = add_trained(graph, "x", x_shape(a)), w = add_trained(graph, "w", w_shape(a)),
                  b = add_trained(graph, "b", {a.k});
    const ValueId target = graph.add_input("target", {y_shape(a), DType::kU8});
    const ValueId loss =
        image_loss(graph, "loss", conv2d(graph, "conv", {x, w, b}, a.stride, a.pad), target, LossKind::kMse);
    const ValueId by = graph.find_value(wanted);
    const auto at = normal_values(graph.spec(by).shape.elements(), 5, 0.3f);
    CHECK_SAME(check_gradient(graph, loss, by, add_op(), at, 0.02f, {.abs = 1e-4, .rel = 2e-3}, [&](GraphBench& bench) {
      fill(bench.values<float>(x), normal_values(a.x_size(), 6, 0.3f));
      fill(bench.values<float>(w), normal_values(a.w_size(), 7, 0.3f));
      fill(bench.values<float>(b), normal_values(a.k, 8, 0.3f));
      fill(bench.values<std::uint8_t>(target), byte_values(a.y_size(), 9));
    }));
  }
}

TEST_CASE("convolution names what does not fit", "[kernels]") {
  Graph graph;
  const auto input = [&](Shape shape, DType type = DType::kF32) {
    return graph.add_input("v" + std::to_string(graph.values().size()), {shape, type});
  };
  const ValueId x = input({1, 4, 4, 3}), w = input({5, 3, 3, 3}), b = input({5}),
                codes = input({1, 4, 4, 3}, DType::kU8), s8 = input({5, 3, 3, 3}, DType::kS8), one = input({1}),
                two = input({2});
  CHECK_NOTHROW(conv2d(graph, "fine", {x, w, b}, 1, 1));
  CHECK_NOTHROW(conv2d(graph, "fine on codes", {codes, s8, b, one, one}, 1, 1));
  CHECK_THROWS_WITH(conv2d(graph, "conv7", {x, input({5, 3, 3, 4}), b}, 1, 1),
                    Catch::Matchers::Contains("conv7") && Catch::Matchers::Contains("3 channels") &&
                        Catch::Matchers::Contains("(5, 3, 3, 4)"));
  CHECK_THROWS_AS(conv2d(graph, "bias", {x, w, input({4})}, 1, 1), ConfigError);
  CHECK_THROWS_AS(conv2d(graph, "rank", {input({4, 4, 3}), w, b}, 1, 1), ConfigError);
  CHECK_THROWS_AS(conv2d(graph, "large filter", {x, input({5, 7, 7, 3}), b}, 1, 1), ConfigError);
  CHECK_THROWS_AS(conv2d(graph, "no room", {input({1, 1, 1, 3}), input({5, 2, 2, 3}), b}, 2, 0), ConfigError);
  CHECK_THROWS_AS(conv2d(graph, "mixed", {codes, w, b, one, one}, 1, 1), ConfigError);
  CHECK_THROWS_AS(conv2d(graph, "mixed too", {x, s8, b, one, one}, 1, 1), ConfigError);
  CHECK_THROWS_AS(conv2d(graph, "steps", {codes, s8, b, one, two}, 1, 1), ConfigError);
  CHECK_THROWS_AS(conv2d(graph, "x steps", {codes, s8, b, two, one}, 1, 1), ConfigError);
  CHECK_THROWS_AS(conv2d(graph, "no steps", {codes, s8, b}, 1, 1), ConfigError);
  CHECK_THROWS_AS(conv2d(graph, "no stride", {x, w, b}, 0, 1), ConfigError);
  CHECK_THROWS_AS(conv2d(graph, "negative", {x, w, b}, 1, -1), ConfigError);
}
