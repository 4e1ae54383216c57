// The folding pass: what becomes of batch normalisation, what stays and why, and that fusion after it changes no bit.
#include "engine/passes/fold.h"

#include "kernels/add/add.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/fold_norm/fold_norm.h"
#include "kernels/relu/relu.h"
#include "models/blocks.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/program_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

using Texts = std::vector<std::string>;

Texts texts(const std::vector<FusionNote>& notes) {
  Texts result;
  for (const FusionNote& n : notes)
    result.push_back(n.into + (n.refusal.empty() ? " <- " : " | ") + n.absorbed +
                     (n.refusal.empty() ? "" : ": " + n.refusal));
  return result;
}

Texts names(const Graph& graph) {
  Texts result;
  for (const Node& node : graph.nodes()) result.push_back(node.name);
  return result;
}

// A residual block with a projection behind a stem, and two layers that read what it yields.
Graph block(bool quantized, NormMode norm = NormMode::kFrozen) {
  Graph graph;
  QuantConfig quant;
  quant.enabled = quantized;
  ModelBuilder b(graph, quant, norm);
  const auto conv = [&](const char* name, const Activation& x, Index kernel, bool bias) {
    return b.conv(name, x, {.filters = 8, .kernel = kernel, .init_std = 0.3f, .bias = bias});
  };
  const ValueId image = graph.add_input("image", {{3, 6, 5, 3}, DType::kU8});
  const Activation stem =
      b.relu("relu", b.batch_norm("bn1", conv("conv1", {.value = image, .is_pixels = true}, 3, false)));
  const Activation main = b.batch_norm("bn2", conv("conv2", stem, 3, true));
  const Activation side = b.batch_norm("bn3", conv("conv3", stem, 1, false));
  const Activation sum = b.relu("relu2", b.add("add", main, side));
  const Activation left = conv("left", sum, 1, true), right = conv("right", sum, 3, true);
  graph.mark_output(b.add("next", sum, b.add("join", left, right)).value);
  return graph;
}

void fill_block(ProgramBench& bench, int replicas) {
  std::vector<std::uint64_t> seeds;
  for (int r = 0; r < replicas; ++r) seeds.push_back(static_cast<std::uint64_t>(r) + 4);
  bench.store().initialise(seeds);
  for (int r = 0; r < replicas; ++r) {
    unsigned seed = 10u * static_cast<unsigned>(r);
    for (const ParameterInfo& p : bench.store().table()) {
      ++seed;
      const auto values = bench.parameter(p.name, r);
      if (p.role == Role::kStep) std::fill(values.begin(), values.end(), -4.0f);
      if (p.role == Role::kBias || p.name.ends_with("mean")) fill(values, normal_values(p.shape.elements(), seed));
      if (!p.name.ends_with("var")) continue;
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.1f + 0.3f * static_cast<float>(i);
    }
    fill(bench.values<std::uint8_t>("image", r), byte_values(3 * 6 * 5 * 3, seed));
  }
}

std::vector<float> outputs(Graph graph, int replicas, ProgramBenchOptions options) {
  options.replicas = replicas;
  ProgramBench bench(std::move(graph), options);
  fill_block(bench, replicas);
  bench.run();
  std::vector<float> all;
  for (int r = 0; r < replicas; ++r) {
    const auto values = bench.values<float>("next", r);
    all.insert(all.end(), values.begin(), values.end());
    CHECK(bench.status(r).first_fault == 0);
  }
  return all;
}

}  // namespace

TEST_CASE("batch normalisation becomes the convolution's scale and bias", "[passes]") {
  for (const bool quantized : {false, true}) {
    Graph g = block(quantized);
    const std::size_t before = g.nodes().size();
    CHECK(texts(fold(g)) == Texts{"conv1 <- bn1", "conv2 <- bn2", "conv3 <- bn3"});
    CHECK(g.nodes().size() == before);  // a node for the parameters instead of one for the values
    CHECK(fold(g).empty());
    for (std::size_t n = 0; n < g.nodes().size(); ++n) {
      const Node& node = g.nodes()[n];
      CHECK(node.op != &batch_norm_op());
      for (const ValueId out : node.outputs) CHECK(g.value(out).producer == static_cast<NodeId>(n));
      for (const ValueId in : node.inputs) CHECK((in == kNoValue || g.value(in).producer < static_cast<NodeId>(n)));
      if (node.op != &conv2d_op()) continue;
      CHECK(node.attrs_as<Conv2dAttrs>().inference);
      if (!node.name.starts_with("conv")) continue;
      const std::size_t scaled = quantized ? 4 : 1;
      const NodeId fold_node = g.value(node.inputs[scaled]).producer;
      REQUIRE(fold_node >= 0);
      CHECK(g.node(fold_node).op == &fold_norm_op());
      CHECK(g.node(fold_node).outputs == std::vector<ValueId>{node.inputs[scaled], node.inputs[2]});
      CHECK(g.value(node.outputs[0]).name.starts_with("bn"));  // what others read keeps its value
    }
  }
}

TEST_CASE("folded convolutions take in addition, ReLU and a quantizer", "[passes]") {
  Graph g = block(true);
  fold(g);
  fuse(g);
  CHECK(run_at_start(g) == Texts{"conv1.weight/quantize", "bn1/fold", "conv2.weight/quantize", "bn2/fold",
                                 "conv3.weight/quantize", "bn3/fold", "left.weight/quantize", "right.weight/quantize"});
  Texts rest;
  for (const Node& node : g.nodes()) {
    if (!node.at_start) rest.push_back(node.name);
  }
  // Two layers read the stem, and two the sum: the second quantizer of each is left. One addition for each convolution.
  CHECK(rest ==
        Texts{"conv1", "conv3.input/quantize", "conv3", "conv2", "right.input/quantize", "right", "left", "next"});
}

TEST_CASE("fusion after folding changes no bit, alone or in a population, on any number of threads", "[passes]") {
  for (const bool quantized : {false, true}) {
    Graph plain = block(quantized), folded = block(quantized);
    fold(folded);
    Graph fused = folded;
    fuse(fused);
    run_at_start(fused);
    const std::vector<float> want = outputs(folded, 3, {});
    for (const int threads : {1, 2, 5}) CHECK_SAME(compare_bits(outputs(fused, 3, {.threads = threads}), want));
    CHECK_SAME(compare_bits(outputs(fused, 3, {.debug = true}), want));
    const auto alone = outputs(fused, 1, {});
    CHECK_SAME(compare_bits(alone, std::vector<float>(want.begin(), want.begin() + static_cast<long>(alone.size()))));
    if (!quantized) CHECK_SAME(compare(want, outputs(plain, 3, {}), {.abs = 1e-4}));
  }
}

TEST_CASE("folded parameters follow those that are written from outside", "[passes]") {
  Graph g = block(true);
  fold(g);
  fuse(g);
  run_at_start(g);
  ProgramBench bench(std::move(g));
  fill_block(bench, 1);
  const auto run = [&] {
    bench.run();
    return copy_of(bench.values<float>("next"));
  };
  const auto first = run();
  bench.parameter("bn2.weight")[3] *= 2.0f;
  CHECK_SAME(compare_bits(run(), first));
  bench.store().note_change();
  CHECK_FALSE(compare_bits(run(), first).ok);
}

TEST_CASE("what cannot be folded stays, and the notes say why", "[passes]") {
  Graph training = block(true, NormMode::kTraining);
  CHECK(texts(fold(training))[0] == "conv1 | bn1: its statistics are those of the batch");

  const auto norm_of = [](Graph& g, const std::string& name, ValueId x) {
    const auto channels = [&](const char* what) { return g.add_input(name + what, {{4}, DType::kF32}); };
    g.add_node(name, batch_norm_op(), BatchNormAttrs{.frozen = true},
               {x, channels(".gamma"), channels(".beta"), channels(".mean"), channels(".var")});
    return g.find_value(name + ":0");
  };
  Graph g;
  const ValueId x = g.add_input("x", {{1, 2, 2, 4}, DType::kF32}), w = g.add_input("w", {{4, 1, 1, 4}, DType::kF32});
  const ValueId shared = conv2d(g, "shared", {x, w}, 1, 0), known = conv2d(g, "known", {x, w}, 1, 0);
  relu(g, "last", norm_of(g, "first", x));
  relu(g, "other", shared);
  norm_of(g, "second", shared);
  norm_of(g, "third", known);
  g.mark_output(g.find_value("third:1"));
  g.mark_output(norm_of(g, "fourth", conv2d(g, "output", {x, w}, 1, 0)));
  CHECK(texts(fold(g)) == Texts{"x | first: no convolution comes before it",
                                "shared | second: others read the convolution as well",
                                "known | third: others read its statistics", "output <- fourth"});
  CHECK(g.value(g.find_value("fourth:0")).storage == Storage::kOutput);
  CHECK(names(g).back() == "output");
}
