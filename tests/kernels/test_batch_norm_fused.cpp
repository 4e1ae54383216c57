// Batch normalisation with what follows it in one node, and with its sums in the convolution before: the loss, every
// gradient, the running statistics and the codes are those of the separate nodes, bit for bit.
#include "engine/graph/backward.h"
#include "engine/passes/fuse.h"
#include "kernels/add/add.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/image_loss/image_loss.h"
#include "kernels/relu/relu.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/program_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Row {
  Shape shape;  // of the image; its channels are also those that are normalised
  bool add = false, relu = false;
  std::optional<QuantizeAttrs> quantize = {};
  bool frozen = false;
  bool read_twice = false;  // the values before the quantizer as well
};

std::string text(const Row& row) {
  return fmt::format("{}{}{}{}{}{}", row.shape.text(), row.add ? " add" : "", row.relu ? " relu" : "",
                     row.quantize ? " quantize" : "", row.frozen ? " frozen" : "", row.read_twice ? " read twice" : "");
}

ValueId trained(Graph& g, const char* name, const Shape& shape, Role role = Role::kWeight, float value = 0.0f) {
  return g.add_parameter({.name = name,
                          .shape = shape,
                          .role = role,
                          .init_std = role == Role::kWeight ? 0.4f : 0.0f,
                          .init_value = value});
}

// image -> 1x1 convolution -> what the row says -> 1x1 convolution -> loss
Graph build(const Row& row) {
  Graph g;
  const Index channels = row.shape[3];
  const ValueId image = g.add_input("image", {row.shape, DType::kF32});
  const ValueId x = conv2d(g, "conv", {image, trained(g, "w", {channels, 1, 1, channels})}, 1, 0);
  const BatchNormParameters p{
      trained(g, "gamma", {channels}, Role::kBias, 0.9f), trained(g, "beta", {channels}, Role::kBias, 0.1f),
      trained(g, "mean", {channels}, Role::kState, 0.2f), trained(g, "var", {channels}, Role::kState, 1.5f)};
  ValueId y = batch_norm(g, "norm", x, p, {.frozen = row.frozen});
  if (row.add) y = add(g, "add", conv2d(g, "side", {image, trained(g, "w2", {channels, 1, 1, channels})}, 1, 0), y);
  if (row.relu) y = relu(g, "relu", y);
  ValueId out = y;
  if (row.quantize) {
    const QuantizedValue q = quantize(g, "quantize", y, trained(g, "step", {1}, Role::kStep, -2.0f),
                                      trained(g, "step0", {1}, Role::kState, 0.12f), *row.quantize);
    const bool fake = row.quantize->fake;
    const ValueId w = g.add_input("codes of w", {{channels, 1, 1, channels}, fake ? DType::kF32 : DType::kS8});
    ConvInputs in{q.codes, w};
    if (!fake) in = {q.codes, w, kNoValue, q.step, g.add_input("w step", {{1}, DType::kF32})};
    out = conv2d(g, "last", in, 1, 0);
  }
  if (row.read_twice) out = add(g, "both", out, y);
  const ValueId target = g.add_input("target", {row.shape, DType::kU8});
  const ValueId loss = image_loss(g, "loss", out, target, LossKind::kMse);
  g.mark_output(loss);
  return g;
}

struct Result {
  std::size_t nodes;
  double loss;
  std::vector<float> gradients, statistics;
};

Result run(const Row& row, bool fused, int threads, bool debug) {
  Graph g = build(row);
  if (fused) fuse(g);
  const std::size_t nodes = g.nodes().size();
  differentiate(g, g.find_value("loss"), add_op());
  ProgramBench bench(std::move(g), {.replicas = 2, .threads = threads, .debug = debug});
  bench.store().initialise({5, 6});
  for (int r = 0; r < 2; ++r) {
    const auto seed = static_cast<unsigned>(40 + 7 * r);
    fill(bench.values<float>("image", r), normal_values(row.shape.elements(), seed, 1.3f, 0.4f));
    fill(bench.values<std::uint8_t>("target", r), byte_values(row.shape.elements(), seed + 1));
    if (!row.quantize) continue;
    const Index weights = row.shape[3] * row.shape[3];
    if (row.quantize->fake) {
      fill(bench.values<float>("codes of w", r), normal_values(weights, seed + 2, 0.3f));
    } else {
      fill(bench.values<std::uint8_t>("codes of w", r), byte_values(weights, seed + 2));
      bench.values<float>("w step", r)[0] = 0.003f;
    }
  }
  bench.run();
  Result result{nodes, bench.values<double>("loss")[0], bench.gradients(0), {}};
  for (const float g1 : bench.gradients(1)) result.gradients.push_back(g1);
  for (const char* name : {"mean", "var"}) {
    for (const float v : bench.parameter(name, 1)) result.statistics.push_back(v);
  }
  CHECK(bench.status(0).first_fault == 0);
  return result;
}

void check_row(const Row& row, std::size_t fused_nodes) {
  INFO(text(row));
  const Result apart = run(row, false, 1, false), whole = run(row, true, 2, false), debugged = run(row, true, 1, true);
  CHECK(whole.nodes == fused_nodes);
  CHECK(whole.loss == apart.loss);
  CHECK_SAME(compare_exact(std::span<const float>(whole.gradients), apart.gradients));
  CHECK_SAME(compare_exact(std::span<const float>(whole.statistics), apart.statistics));
  CHECK_SAME(compare_exact(std::span<const float>(debugged.gradients), whole.gradients));
}

const Shape kShapes[] = {{1, 1, 1, 1}, {9, 5, 7, 3}, {2, 8, 8, 16}, {3, 9, 5, 67}, {8, 12, 11, 8}};

}  // namespace

TEST_CASE("batch normalisation fused with addition and ReLU equals the parts in every bit", "[kernels]") {
  for (const Shape& shape : kShapes) {
    for (const bool frozen : {false, true}) {
      check_row({.shape = shape, .relu = true, .frozen = frozen}, 3);
      check_row({.shape = shape, .add = true, .frozen = frozen}, 4);
      check_row({.shape = shape, .add = true, .relu = true, .frozen = frozen}, 4);
    }
  }
}

TEST_CASE("batch normalisation fused with a quantizer equals the parts in every bit", "[kernels]") {
  for (const Shape& shape : kShapes) {
    for (const GradientMask mask : {GradientMask::kStrict, GradientMask::kInclusive, GradientMask::kRounded}) {
      for (const bool fake : {false, true}) {
        for (const CodeRange range : {CodeRange{0, 15}, CodeRange{-8, 7}}) {
          const QuantizeAttrs q{.range = range, .fake = fake, .mask = mask, .gradient_scale = 0.7f};
          const bool relu = range.n == 0;
          check_row({.shape = shape, .relu = relu, .quantize = q}, 4);
          check_row({.shape = shape, .relu = relu, .quantize = q, .read_twice = true}, 5);
          check_row({.shape = shape, .add = true, .relu = relu, .quantize = q}, 5);
          check_row({.shape = shape, .add = true, .relu = relu, .quantize = q, .read_twice = true}, 6);
        }
      }
    }
  }
}

TEST_CASE("a NaN before a fused quantizer is a fault of its replica and step", "[kernels]") {
  const Row row{.shape = {2, 8, 8, 16}, .relu = true, .quantize = QuantizeAttrs{.range = {0, 15}}};
  Graph g = build(row);
  fuse(g);
  ProgramBench bench(std::move(g), {.replicas = 2});
  bench.store().initialise({5, 6});
  for (int r = 0; r < 2; ++r) {
    fill(bench.values<float>("image", r), normal_values(row.shape.elements(), 3));
    fill(bench.values<std::uint8_t>("target", r), byte_values(row.shape.elements(), 4));
    fill(bench.values<std::uint8_t>("codes of w", r), byte_values(16 * 16, 5));
    bench.values<float>("w step", r)[0] = 0.1f;
  }
  bench.values<float>("image", 1)[77] = std::numeric_limits<float>::quiet_NaN();
  bench.run();
  CHECK(bench.status(0).first_fault == 0);
  CHECK(bench.status(1).first_fault != 0);
}
