// Whole ESPCN: sizes, PyTorch's loss and gradients, fused against unfused, codes against float arithmetic.
#include <cmath>
#include <map>

#include "kernels/conv2d/conv2d.h"
#include "kernels/quantize/quantize.h"
#include "tests/golden/espcn/espcn_golden.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/espcn_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

// The script's formulas (tests/golden/espcn/make_espcn_golden.py).
std::vector<double> integers(std::size_t count, std::size_t salt, std::size_t modulus) {
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i)
    values.push_back(static_cast<double>((i + 1) * (2 * salt + 7) * 7919 % 65521 % modulus));
  return values;
}

void fill_made(std::span<float> to, std::size_t salt, double scale) {
  const auto values = integers(to.size(), salt, 129);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = static_cast<float>((values[i] - 64.0) / 64.0 * scale);
}

void fill_pixels(std::span<std::uint8_t> to, std::size_t salt) {
  const auto values = integers(to.size(), salt, 256);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = static_cast<std::uint8_t>(values[i]);
}

template <class Source>
void fill_weights(Source& bench, int replica = 0) {
  const double scales[] = {0.125, 0.0625, 0.0625};
  for (std::size_t layer = 0; layer < 3; ++layer) {
    const std::string name = "conv" + std::to_string(layer + 1);
    fill_made(bench.parameter(name + ".weight", replica), 10 + layer, scales[layer]);
    fill_made(bench.parameter(name + ".bias", replica), 20 + layer, 0.125);
  }
}

QuantConfig bits(int weights, int activations, bool codes = true) {
  QuantConfig quant;
  quant.weight_bits = weights;
  quant.activation_bits = activations;
  quant.codes = codes;
  return quant;
}

QuantConfig float_network() {
  QuantConfig quant;
  quant.enabled = false;
  return quant;
}

// A network with golden weights, steps calibrated on its own input, and run once.
std::unique_ptr<ProgramBench> ran(const EspcnCase& c, const std::vector<std::string>& outputs = {}) {
  EspcnGraph built = espcn_graph(c);
  for (const std::string& name : outputs) {
    const ValueId value = built.graph.find_value(name);
    REQUIRE(value != kNoValue);
    built.graph.mark_output(value);
  }
  auto bench = std::make_unique<ProgramBench>(std::move(built.graph));
  bench->store().initialise({1});
  fill_weights(*bench);
  calibrate_espcn(bench->store(), c, [](Program& program) {
    const Tensor t = program.tensor("lr");
    fill_pixels({t.at<std::uint8_t>(0), static_cast<std::size_t>(t.elements())}, 1);
  });
  fill_pixels(bench->values<std::uint8_t>("lr"), 1);
  fill_pixels(bench->values<std::uint8_t>("hr"), 2);
  bench->run();
  return bench;
}

}  // namespace

TEST_CASE("ESPCN has the published parameters and multiply-accumulates", "[models]") {
  struct Row {
    int scale;
    Index parameters, weights3, macs;  // macs per pixel of the small image
  };
  for (const Row row : {Row{2, 26796, 3456, 26688}, Row{3, 31131, 7776, 31008}, Row{4, 37200, 13824, 37056}}) {
    for (const bool quantized : {false, true}) {
      EspcnCase c{
          .model = {.scale = row.scale, .activation = "relu", .quant = quantized ? QuantConfig{} : float_network()},
          .backward = false};
      const EspcnGraph built = espcn_graph(c);
      Index parameters = 0, macs = 0;
      std::map<std::string, Index> weights;
      for (const ParameterInfo& info : built.graph.parameters()) {
        if (info.role == Role::kWeight || info.role == Role::kBias) parameters += info.shape.elements();
        if (info.role == Role::kWeight) weights[info.name] = info.shape.elements();
      }
      for (const Node& node : built.graph.nodes()) {
        if (node.op != &conv2d_op()) continue;
        const auto& attrs = node.attrs_as<Conv2dAttrs>();
        macs += conv_geometry(built.graph.spec(node.inputs[0]).shape, built.graph.spec(node.inputs[1]).shape,
                              attrs.stride, attrs.pad)
                    .macs();
      }
      CHECK(parameters == row.parameters);
      CHECK(weights == std::map<std::string, Index>{
                           {"conv1.weight", 4800}, {"conv2.weight", 18432}, {"conv3.weight", row.weights3}});
      CHECK(macs == row.macs * c.n * c.h * c.w);
      CHECK(built.graph.spec(built.built.output).shape == Shape{c.n, c.h * row.scale, c.w * row.scale, 3});
    }
  }
}

TEST_CASE("a float ESPCN has PyTorch's loss, output and gradients", "[models][golden]") {
  REQUIRE(kEspcnGolden.size() == 3);
  for (const EspcnGolden& golden : kEspcnGolden) {
    INFO(golden.activation << " " << golden.loss_name);
    const EspcnCase c{.model = {.scale = 3, .activation = golden.activation, .quant = float_network()},
                      .loss = parse_loss(golden.loss_name)};
    const auto bench = ran(c);
    CHECK_SAME(compare(bench->values<double>("loss"), std::vector<double>{golden.loss}, {.rel = 1e-6}));
    const auto y = bench->values<float>("shuffle");
    std::vector<float> outputs;
    for (std::size_t i = 0; i < y.size(); i += 37) outputs.push_back(y[i]);
    CHECK_SAME(compare(outputs, golden.outputs, {.abs = 1e-6}));
    REQUIRE(golden.gradients.size() == 6);
    for (const GradientGolden& want : golden.gradients) {
      INFO(want.parameter);
      const auto g = bench->gradient(want.parameter);
      double magnitude = 0.0, largest = 0.0;
      for (const float v : g) {
        magnitude += std::fabs(static_cast<double>(v));
        largest = std::max(largest, std::fabs(static_cast<double>(v)));
      }
      CHECK_SAME(compare(std::vector<double>{magnitude}, std::vector<double>{want.magnitude}, {.rel = 2e-6}));
      for (std::size_t k = 0; k < want.projections.size(); ++k) {
        const auto pattern = integers(g.size(), 40 + k, 17);
        double sum = 0.0;
        for (std::size_t i = 0; i < g.size(); ++i) sum += static_cast<double>(g[i]) * (pattern[i] - 8.0);
        CHECK_SAME(compare(std::vector<double>{sum}, std::vector<double>{want.projections[k]},
                           {.abs = 2e-6 * 8.0 * magnitude}));
      }
      std::vector<float> picked;
      for (std::size_t i = 0; i < 8; ++i) picked.push_back(g[i * (g.size() - 1) / 7]);
      CHECK_SAME(compare(picked, want.picked, {.abs = 2e-6 * largest, .rel = 2e-5}));
    }
  }
}

TEST_CASE("a fused ESPCN equals the unfused one, output, loss and gradients", "[models]") {
  for (const std::string activation : {"relu", "tanh"}) {
    for (const QuantConfig& quant : {bits(8, 8), bits(4, 4), bits(2, 2), bits(3, 8, false), float_network()}) {
      INFO(activation << " W" << quant.weight_bits << "A" << quant.activation_bits << " codes " << quant.codes
                      << " enabled " << quant.enabled);
      EspcnCase c{.model = {.scale = 2, .activation = activation, .quant = quant}, .n = 9};
      const auto apart = ran(c);
      c.fused = true;
      const auto fused = ran(c);
      CHECK(fused->program().graph().nodes().size() <= apart->program().graph().nodes().size());
      CHECK_SAME(compare_bits(fused->values<double>("loss"), apart->values<double>("loss")));
      CHECK_SAME(compare_bits(fused->values<float>("shuffle"), apart->values<float>("shuffle")));
      CHECK_SAME(compare_exact(fused->gradients(), apart->gradients()));
      CHECK(fused->status().first_fault == 0);
    }
  }
}

TEST_CASE("fusion saves launches and memory", "[models]") {
  EspcnCase c{
      .model = {.scale = 3, .activation = "relu", .quant = bits(8, 8)}, .n = 16, .h = 17, .w = 17, .backward = false};
  const EspcnGraph apart = espcn_graph(c);
  c.fused = true;
  const EspcnGraph fused = espcn_graph(c);
  CHECK(apart.graph.nodes().size() - fused.graph.nodes().size() == 4);  // two activations, two quantizers
  CHECK(plan_program(fused.graph, DeviceKind::kCpu).per_replica <
        plan_program(apart.graph, DeviceKind::kCpu).per_replica);
}

TEST_CASE("arithmetic on codes agrees with fake quantization", "[models]") {
  for (const std::string activation : {"relu", "tanh"}) {
    for (const int b : {8, 4, 3, 2}) {
      INFO(activation << " bits " << b);
      EspcnCase c{.model = {.scale = 3, .activation = activation, .quant = bits(b, b)}, .n = 3, .h = 9, .w = 8};
      const std::string before = "conv1/" + activation, codes_name = "conv2.input/quantize:0";
      const auto codes = ran(c, {before, codes_name});
      c.model.quant.codes = false;
      const auto fake = ran(c, {before, codes_name});
      // The first layer sees the same pixels, weights and steps: its codes differ near ties only, and hardly ever.
      const float s = std::exp(codes->parameter("conv2.input_step")[0]),
                  fake_s = std::exp(fake->parameter("conv2.input_step")[0]);
      REQUIRE(std::fabs(s - fake_s) <= 1e-5f * s);
      std::copy_n(codes->parameter("conv2.input_step").begin(), 1, fake->parameter("conv2.input_step").begin());
      fake->run();
      const auto real = codes->values<float>(before), values = fake->values<float>(codes_name);
      const auto q = codes->values<std::uint8_t>(codes_name);
      std::size_t differing = 0;
      for (std::size_t i = 0; i < q.size(); ++i) {
        const double code =
            activation == "relu" ? static_cast<double>(q[i]) : static_cast<double>(static_cast<std::int8_t>(q[i]));
        const double other = std::nearbyint(static_cast<double>(values[i]) / static_cast<double>(s));
        if (code == other) continue;
        ++differing;
        const double t = static_cast<double>(real[i]) / static_cast<double>(s);
        REQUIRE(std::fabs(code - other) == 1.0);
        REQUIRE(std::fabs(t - std::floor(t) - 0.5) <= 1e-3);
      }
      CHECK(static_cast<double>(differing) <= 1e-4 * static_cast<double>(q.size()));
      CHECK_SAME(compare(codes->values<double>("loss"), copy_of(fake->values<double>("loss")), {.rel = 1e-4}));
      const auto g = codes->gradients(), h = fake->gradients();
      double difference = 0.0, magnitude = 0.0;
      for (std::size_t i = 0; i < g.size(); ++i) {
        difference += std::fabs(static_cast<double>(g[i] - h[i]));
        magnitude += std::fabs(static_cast<double>(h[i]));
      }
      CHECK(difference <= 1e-2 * magnitude);
    }
  }
}

TEST_CASE("an output pixel of ESPCN depends on its neighbourhood only", "[models]") {
  const int radius = find_model("espcn").receptive_radius;
  EspcnCase c{
      .model = {.scale = 2, .activation = "relu", .quant = bits(8, 8)}, .n = 1, .h = 13, .w = 13, .backward = false};
  const auto bench = ran(c);
  const auto before = copy_of(bench->values<float>("shuffle"));
  bench->values<std::uint8_t>("lr")[static_cast<std::size_t>((6 * 13 + 6) * 3)] ^= 0xff;
  bench->run();
  const auto after = bench->values<float>("shuffle");
  int reach = 0;
  for (int y = 0; y < 26; ++y) {
    for (int x = 0; x < 26; ++x) {
      for (int k = 0; k < 3; ++k) {
        const auto i = static_cast<std::size_t>((y * 26 + x) * 3 + k);
        if (before[i] != after[i]) reach = std::max({reach, std::abs(y / 2 - 6), std::abs(x / 2 - 6)});
      }
    }
  }
  CHECK(reach == radius);
}
