// The registry of models, and what a quantization configuration makes of a network.
#include <cmath>
#include <set>

#include "kernels/quantize/quantize.h"
#include "tests/support/compare.h"
#include "tests/support/espcn_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

EspcnGraph with(const QuantConfig& quant, const std::string& activation = "relu") {
  return espcn_graph({.model = {.scale = 3, .activation = activation, .quant = quant}});
}

// "<site> [n, p] per channel" of every quantizer.
std::vector<std::string> sites_of(const EspcnGraph& built) {
  std::vector<std::string> sites;
  for (const QuantizerSite& s : built.built.quantizers) {
    sites.push_back(fmt::format("{} [{}, {}]{}", s.name, s.range.n, s.range.p, s.per_channel ? " per channel" : ""));
  }
  return sites;
}

}  // namespace

TEST_CASE("every model of the registry builds, trains and is tested", "[models]") {
  const std::set<std::string> tested{"espcn", "resnet18", "resnet20", "resnet50"};
  for (const ModelInfo& model : all_models()) {
    CHECK(tested.count(std::string(model.name)) == 1);
    CHECK(&find_model(model.name) == &model);
    Graph graph;
    const BuiltModel built = model.build(graph, graph.add_input("image", {{1, 32, 32, 3}, DType::kU8}), {});
    CHECK(built.output != kNoValue);
    CHECK_FALSE(built.quantizers.empty());
  }
  CHECK_THROWS_WITH(find_model("escpn"), Catch::Matchers::Contains("did you mean 'espcn'"));
  CHECK_THROWS_AS(find_model("vgg"), ConfigError);
}

TEST_CASE("the configuration decides where quantizers sit and what codes they have", "[models]") {
  QuantConfig quant;
  CHECK(sites_of(with(quant)) ==
        std::vector<std::string>{"conv1.weight [-127, 127] per channel", "conv2.input [0, 255]",
                                 "conv2.weight [-127, 127] per channel", "conv3.input [0, 255]",
                                 "conv3.weight [-127, 127] per channel"});
  CHECK(sites_of(with(quant, "tanh"))[1] == "conv2.input [-128, 127]");
  quant.weight_bits = quant.activation_bits = 3;
  quant.per_channel = false;
  CHECK(sites_of(with(quant)) == std::vector<std::string>{"conv1.weight [-127, 127]", "conv2.input [0, 7]",
                                                          "conv2.weight [-4, 3]", "conv3.input [0, 255]",
                                                          "conv3.weight [-127, 127]"});
  quant.first_last_bits = 0;
  CHECK(sites_of(with(quant)) == std::vector<std::string>{"conv1.weight [-4, 3]", "conv2.input [0, 7]",
                                                          "conv2.weight [-4, 3]", "conv3.input [0, 7]",
                                                          "conv3.weight [-4, 3]"});
  quant.first_last_bits = kFloatBits;
  CHECK(sites_of(with(quant)) == std::vector<std::string>{"conv2.input [0, 7]", "conv2.weight [-4, 3]"});
  quant.activation_bits = kFloatBits;
  CHECK(sites_of(with(quant)) == std::vector<std::string>{"conv2.weight [-4, 3]"});
  quant.output = true;
  CHECK(sites_of(with(quant)).back() == "conv3.output [-128, 127]");
  quant.enabled = false;
  CHECK(sites_of(with(quant)).empty());
}

TEST_CASE("rules of layers hold before everything else, the first that names a layer", "[models]") {
  QuantConfig quant;
  quant.weight_bits = quant.activation_bits = 3;
  quant.per_channel = false;
  quant.layers = parse_layer_rules("conv3=2,4; *=6,5");
  CHECK(sites_of(with(quant)) == std::vector<std::string>{"conv1.weight [-32, 31]", "conv2.input [0, 31]",
                                                          "conv2.weight [-32, 31]", "conv3.input [0, 15]",
                                                          "conv3.weight [-2, 1]"});
  quant.layers = parse_layer_rules("conv1=float; conv2=32,4");  // the last keeps its 8 bits
  CHECK(sites_of(with(quant)) ==
        std::vector<std::string>{"conv2.input [0, 15]", "conv3.input [0, 255]", "conv3.weight [-127, 127]"});
  quant.layers = parse_layer_rules("conv2=4,4; conv9=4,4");
  CHECK_THROWS_WITH(sites_of(with(quant)), Catch::Matchers::Contains("no layer is named 'conv9'") &&
                                               Catch::Matchers::Contains("conv1, conv2, conv3"));
  CHECK_THROWS_AS(sites_of(with(quant)), ConfigError);
}

TEST_CASE("code ranges of weights and activations", "[models]") {
  CHECK(weight_codes(8, WeightRange::kAuto) == CodeRange{-127, 127});
  CHECK(weight_codes(8, WeightRange::kFull) == CodeRange{-128, 127});
  CHECK(weight_codes(4, WeightRange::kAuto) == CodeRange{-8, 7});
  CHECK(weight_codes(3, WeightRange::kNarrow) == CodeRange{-3, 3});
  CHECK(weight_codes(2, WeightRange::kAuto) == CodeRange{-2, 1});
  CHECK(weight_codes(2, WeightRange::kTernary) == CodeRange{-1, 1});
  CHECK(activation_codes(8, true) == CodeRange{0, 255});
  CHECK(activation_codes(2, true) == CodeRange{0, 3});
  CHECK(activation_codes(4, false) == CodeRange{-8, 7});
}

TEST_CASE("gradient scales count elements per sample and per step", "[models]") {
  CHECK(gradient_scale_factor(GradientScale::kInvSqrtNp, 100.0, 4) == Approx(0.05));
  CHECK(gradient_scale_factor(GradientScale::kInvSqrtN, 100.0, 4) == Approx(0.1));
  CHECK(gradient_scale_factor(GradientScale::kNone, 100.0, 4) == 1.0f);
  const EspcnGraph built = with({});
  const auto scale_of = [&](const std::string& node) {
    for (const Node& n : built.graph.nodes()) {
      if (n.name == node) return static_cast<double>(n.attrs_as<QuantizeAttrs>().gradient_scale);
    }
    return 0.0;
  };
  CHECK(scale_of("conv2.input/quantize") == Approx(1.0 / std::sqrt(6.0 * 5 * 64 * 255)));  // not the batch
  CHECK(scale_of("conv2.weight/quantize") == Approx(1.0 / std::sqrt(64.0 * 9 * 127)));
}

TEST_CASE("what a model cannot do is refused by name", "[models]") {
  Graph graph;
  const ValueId image = graph.add_input("image", {{1, 8, 8, 3}, DType::kU8});
  ModelOptions options;
  options.scale = 5;
  CHECK_THROWS_WITH(build_espcn(graph, image, options), Catch::Matchers::Contains("model.scale = 5"));
  options.scale = 3;
  options.activation = "gelu";
  CHECK_THROWS_WITH(build_espcn(graph, image, options),
                    Catch::Matchers::Contains("gelu") && Catch::Matchers::Contains("tanh"));
}
