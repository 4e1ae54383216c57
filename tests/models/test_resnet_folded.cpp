// Residual networks with batch normalisation folded against those without, in evaluation: logits on floats, every
// layer's codes from identical inputs.
#include <algorithm>
#include <cmath>
#include <map>

#include "engine/passes/fold.h"
#include "kernels/add/add.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/fold_norm/fold_norm.h"
#include "kernels/global_avg_pool/global_avg_pool.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/quantize/quantize.h"
#include "kernels/relu/relu.h"
#include "models/model.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/program_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Subject {
  std::string model;
  Index samples, side;
  std::size_t quantizers;  // of activations
  std::string last_norm;   // of a block
};

const Subject kSubjects[] = {
    {"resnet20", 4, 32, 19, "bn2"}, {"resnet18", 4, 64, 20, "bn2"}, {"resnet50", 4, 64, 53, "bn3"}};

Graph network(const Subject& s, NormMode norm, bool quantized) {
  Graph graph;
  const ValueId image = graph.add_input("image", {{s.samples, s.side, s.side, 3}, DType::kU8});
  ModelOptions options;
  options.classes = 10;
  options.norm = norm;
  options.quant.enabled = quantized;
  graph.mark_output(find_model(s.model).build(graph, image, options).output);
  return graph;
}

void fill_image(ProgramBench& bench) {
  const auto image = bench.values<std::uint8_t>("image");
  fill(image, byte_values(static_cast<Index>(image.size()), 3));
}

// Parameters by name. Statistics are those that a batch has; scales have both signs, and in every layer one channel has
// the scale 0 and one hardly any variance. Branches add little to what passes them, as in trained networks: else 53
// layers of random scales amplify a change of one unit in the last place of the weights to 1.2e-5 of the logits.
using Parameters = std::map<std::string, std::vector<float>>;

Parameters random_parameters(const Subject& s) {
  Graph graph = network(s, NormMode::kTraining, false);
  for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
    Node& node = graph.node(static_cast<NodeId>(n));
    if (node.op == &batch_norm_op()) std::any_cast<BatchNormAttrs&>(node.attrs).momentum = 1.0f;
  }
  ProgramBench bench(std::move(graph), {.threads = 2});
  bench.store().initialise({1});
  fill_image(bench);
  unsigned seed = 0;
  for (const ParameterInfo& p : bench.store().table()) {
    if (p.role != Role::kBias || p.name == "fc.bias") continue;
    const bool small = p.name.ends_with("." + s.last_norm + ".weight");
    fill(bench.parameter(p.name), normal_values(p.shape.elements(), ++seed, small ? 0.2f : 0.7f));
  }
  bench.run();
  Parameters result;
  for (const ParameterInfo& p : bench.store().table()) result[p.name] = copy_of(bench.parameter(p.name));
  for (auto& [name, values] : result) {
    if (!name.ends_with("running_var")) continue;
    auto& gamma = result.at(name.substr(0, name.size() - 11) + "weight");
    gamma[0] = 0.0f;
    values[1] = 1e-10f;
    gamma[1] = -0.002f;
  }
  return result;
}

void set_parameters(ProgramBench& bench, const Parameters& parameters) {
  bench.store().initialise({1});
  for (const ParameterInfo& p : bench.store().table()) {
    if (const auto it = parameters.find(p.name); it != parameters.end()) fill(bench.parameter(p.name), it->second);
    if (p.role != Role::kStep) continue;
    const auto steps = bench.parameter(p.name);  // logarithms
    const std::size_t at = p.name.find(".weight_step");
    if (at == std::string::npos) {
      std::fill(steps.begin(), steps.end(), std::log(8.0f / 255.0f));
      continue;
    }
    const auto& w = parameters.at(p.name.substr(0, at) + ".weight");
    const std::size_t row = w.size() / steps.size();
    for (std::size_t k = 0; k < steps.size(); ++k) {
      float largest = 0.0f;
      for (std::size_t i = 0; i < row; ++i) largest = std::max(largest, std::fabs(w[k * row + i]));
      steps[k] = std::log(largest / 127.0f);
    }
  }
}

std::vector<float> logits(Graph graph, const Parameters& parameters) {
  ProgramBench bench(std::move(graph), {.threads = 2});
  set_parameters(bench, parameters);
  fill_image(bench);
  bench.run();
  CHECK(bench.status().first_fault == 0);
  return copy_of(bench.values<float>("fc"));
}

// A quantizer of the network, and the same behind a folded convolution that reads what the layer reads in the network.
struct Twins {
  std::string value, step, codes, folded;
};

// Gives every layer its folded twin, beside it in the same graph.
class TwinBuilder {
 public:
  explicit TwinBuilder(Graph& graph) : graph_(graph) {}

  std::vector<Twins> run() {
    const std::size_t count = graph_.nodes().size();
    for (std::size_t n = 0; n < count; ++n) {
      const Node node = graph_.nodes()[n];
      if (node.op == &batch_norm_op()) {
        fold_beside(node);
      } else if (node.op == &add_op()) {
        add_beside(node);
      } else if (node.op == &quantize_op()) {
        quantize_beside(node);
      } else if (node.op == &relu_op() || node.op == &max_pool_op() || node.op == &global_avg_pool_op()) {
        if (const auto it = twin_.find(node.inputs[0]); it != twin_.end()) copy(node, {it->second});
      }
    }
    return std::move(twins_);
  }

 private:
  void copy(const Node& node, std::vector<ValueId> inputs) {
    const auto out = graph_.add_node(node.name + "/twin", *node.op, node.attrs, std::move(inputs));
    twin_[node.outputs[0]] = out[0];
  }

  void fold_beside(const Node& norm) {
    Node conv = graph_.node(graph_.value(norm.inputs[0]).producer);
    std::vector<ValueId> inputs{conv.inputs[4]};
    inputs.insert(inputs.end(), norm.inputs.begin() + 1, norm.inputs.end());
    inputs.push_back(conv.inputs[2]);
    const auto folded = graph_.add_node(norm.name + "/twin_fold", fold_norm_op(), FoldNormAttrs{}, inputs);
    conv.inputs[4] = folded[0];
    conv.inputs[2] = folded[1];
    twin_[norm.outputs[0]] = graph_.add_node(norm.name + "/twin", conv2d_op(), conv.attrs, conv.inputs)[0];
  }

  // What comes from a layer before, past this one, stays the network's.
  void add_beside(const Node& node) {
    std::vector<ValueId> inputs = node.inputs;
    for (ValueId& in : inputs) {
      if (graph_.node(graph_.value(in).producer).op == &batch_norm_op()) in = twin_.at(in);
    }
    copy(node, inputs);
  }

  void quantize_beside(const Node& node) {
    const auto it = twin_.find(node.inputs[0]);
    if (it == twin_.end()) return;  // a weight's
    std::vector<ValueId> inputs = node.inputs;
    inputs[0] = it->second;
    const auto out = graph_.add_node(node.name + "/twin", quantize_op(), node.attrs, inputs);
    for (const ValueId id : {node.inputs[0], node.outputs[0], node.outputs[1], out[0]}) {
      if (graph_.value(id).storage == Storage::kActivation) graph_.mark_output(id);
    }
    twins_.push_back({name(node.inputs[0]), name(node.outputs[1]), name(node.outputs[0]), name(out[0])});
  }

  const std::string& name(ValueId id) const { return graph_.value(id).name; }

  Graph& graph_;
  std::map<ValueId, ValueId> twin_;
  std::vector<Twins> twins_;
};

}  // namespace

TEST_CASE("float residual networks have the same logits with batch normalisation folded", "[models][fold]") {
  for (const Subject& s : kSubjects) {
    INFO(s.model);
    const Parameters parameters = random_parameters(s);
    const Graph plain = network(s, NormMode::kFrozen, false);
    Graph folded = plain;
    for (const FusionNote& note : fold(folded)) CHECK(note.refusal.empty());
    const auto want = logits(plain, parameters), unfused = logits(folded, parameters);
    fuse(folded);
    run_at_start(folded);
    const auto got = logits(folded, parameters);
    CHECK_SAME(compare_bits(got, unfused));
    double largest = 0.0;
    for (const float v : want) largest = std::max(largest, std::fabs(static_cast<double>(v)));
    REQUIRE(largest > 0.01);
    CHECK_SAME(compare(got, want, {.abs = 1e-5 * largest}));
  }
}

TEST_CASE("folded layers give the same codes but for ties, from identical inputs", "[models][fold]") {
  for (const Subject& s : kSubjects) {
    INFO(s.model);
    Graph graph = network(s, NormMode::kFrozen, true);
    const std::vector<Twins> twins = TwinBuilder(graph).run();
    REQUIRE(twins.size() == s.quantizers);
    ProgramBench bench(std::move(graph), {.threads = 2});
    set_parameters(bench, random_parameters(s));
    fill_image(bench);
    bench.run();
    std::size_t total = 0, differ = 0, distinct = 0;
    for (const Twins& twin : twins) {
      INFO(twin.codes);
      const auto value = bench.values<float>(twin.value);
      const auto codes = bench.values<std::uint8_t>(twin.codes), folded = bench.values<std::uint8_t>(twin.folded);
      const auto step = static_cast<double>(bench.values<float>(twin.step)[0]);
      total += codes.size();
      distinct = std::max<std::size_t>(distinct, *std::max_element(codes.begin(), codes.end()));
      for (std::size_t i = 0; i < codes.size(); ++i) {
        if (codes[i] == folded[i]) continue;
        ++differ;
        const double t = static_cast<double>(value[i]) / step;
        REQUIRE(std::abs(int{codes[i]} - int{folded[i]}) == 1);
        REQUIRE(std::fabs(t - std::floor(t) - 0.5) < 1e-3);
      }
    }
    CHECK(distinct > 100);  // the codes' range is in use
    CAPTURE(total, differ);
    CHECK(static_cast<double>(differ) <= 1e-4 * static_cast<double>(total));
  }
}

TEST_CASE("folded networks quantize as one pass where they can", "[models][fold]") {
  Graph graph = network(kSubjects[1], NormMode::kFrozen, true);
  fold(graph);
  fuse(graph);
  run_at_start(graph);
  std::map<std::string, int> ops;
  for (const Node& node : graph.nodes()) {
    if (!node.at_start) ++ops[std::string(node.op->name)];
  }
  // Convolutions, the last layer among them; the pools; quantizers behind the pools, and the second ones of three sums.
  CHECK(ops == std::map<std::string, int>{{"conv2d", 21}, {"max_pool", 1}, {"global_avg_pool", 1}, {"quantize", 5}});
}
