// Initial steps: observers against the oracle, and calibration of a whole network.
#include "engine/quant/observer.h"

#include <cmath>
#include <limits>

#include "engine/base/strict_math.h"
#include "kernels/quantize/quantize.h"
#include "tests/reference/observer_oracle.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/espcn_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

const std::vector<CodeRange> kRanges{{0, 255}, {-128, 127}, {-127, 127}, {0, 63}, {0, 15}, {-8, 7},
                                     {0, 7},   {-4, 3},     {0, 3},      {-2, 1}, {-1, 1}};

std::vector<double> doubles(const std::vector<float>& v) { return {v.begin(), v.end()}; }

// Non-negative data for unsigned codes, as behind a ReLU; skewed for the others.
std::vector<float> data_for(CodeRange range, unsigned seed) {
  auto v = normal_values(3001, seed, 0.3f, 0.05f);
  for (float& x : v) x = range.n == 0 ? std::max(x, 0.0f) : (x < 0.0f ? 1.7f * x : x);
  return v;
}

ObserverOracle oracle(CodeRange range) { return {static_cast<double>(range.n), static_cast<double>(range.p)}; }

}  // namespace

TEST_CASE("observers equal the oracle", "[quant]") {
  for (const CodeRange range : kRanges) {
    for (unsigned seed = 1; seed <= 3; ++seed) {
      INFO("[" << range.n << ", " << range.p << "]");
      const auto v = data_for(range, seed);
      CHECK(lsq_initial_step(v, range) == Approx(oracle(range).lsq(doubles(v))).epsilon(1e-12));
      CHECK(mse_initial_step(v, range) == Approx(oracle(range).mse(doubles(v))).epsilon(1e-9));
      CHECK(mse_histogram_step(v, range) ==
            Approx(oracle(range).mse(ObserverOracle::binned(doubles(v)))).epsilon(1e-9));
    }
  }
}

TEST_CASE("up to 5 bits LSQ's formula sets the step, from 6 the mean squared error", "[quant]") {
  for (const CodeRange range : kRanges) {
    INFO("[" << range.n << ", " << range.p << "]");
    const auto v = data_for(range, 9);
    const bool few = range.p <= 15;
    CHECK(initial_step(v, range, false) == (few ? lsq_initial_step(v, range) : mse_initial_step(v, range)));
    CHECK(initial_step(v, range, true) == (few ? lsq_initial_step(v, range) : mse_histogram_step(v, range)));
  }
  const auto v = data_for({0, 31}, 9);
  CHECK(initial_step(v, {0, 31}, true) == lsq_initial_step(v, {0, 31}));
}

TEST_CASE("tensors without information give a usable step", "[quant]") {
  const std::vector<float> zeros(100, 0.0f), negative(100, -1.0f);
  for (const bool large : {false, true}) {
    for (const CodeRange range : kRanges) {
      CHECK(initial_step(zeros, range, large) == 1.0);
      CHECK(initial_step({}, range, large) == 1.0);
      const double s = initial_step(negative, range, large);  // behind unsigned codes all of it is clipped
      CHECK((std::isfinite(s) && s > 0.0));
    }
  }
}

TEST_CASE("a step that represents the data is found exactly", "[quant]") {
  std::vector<float> v;
  for (int q = -127; q <= 127; ++q) v.push_back(0.03125f * static_cast<float>(q));
  CHECK(mse_initial_step(v, {-127, 127}) == 0.03125);
}

TEST_CASE("calibration sets s0 and the parameter of every site, layer by layer", "[quant]") {
  for (const StepForm form : {StepForm::kLog, StepForm::kLinear}) {
    for (const int bits : {8, 3}) {
      INFO("form " << static_cast<int>(form) << " bits " << bits);
      EspcnCase c{.model = {.scale = 3, .activation = "relu", .quant = {}}, .n = 4, .h = 8, .w = 8, .backward = false};
      c.model.quant.form = form;
      c.model.quant.weight_bits = c.model.quant.activation_bits = bits;
      c.model.quant.first_last_bits = 0;
      EspcnGraph built = espcn_graph(c);
      // What calibration has seen: the input of each activation quantizer, quantized prefix before it.
      for (const QuantizerSite& site : built.built.quantizers) {
        if (!site.is_weight) built.graph.mark_output(built.graph.find_value(site.input));
      }
      const auto sites = built.built.quantizers;
      ProgramBench bench(std::move(built.graph), {.replicas = 2});
      bench.store().initialise({3, 4});
      std::fill_n(bench.parameter("conv2.weight", 1).begin() + 7 * 576, 576, 0.0f);  // a dead channel
      bench.store().upload_status({{.clipped = 5}, {.inexact = 6}});
      const auto pixels = byte_values(4 * 8 * 8 * 3, 5);
      calibrate_espcn(bench.store(), c, [&](Program& program) {
        for (int r = 0; r < 2; ++r) std::copy(pixels.begin(), pixels.end(), program.tensor("lr").at<std::uint8_t>(r));
      });
      CHECK((bench.status(0).clipped == 5 && bench.status(1).inexact == 6 && bench.status(1).first_fault == 0));
      for (int r = 0; r < 2; ++r) fill(bench.values<std::uint8_t>("lr", r), pixels);
      bench.run();
      for (int r = 0; r < 2; ++r) {
        for (const QuantizerSite& site : sites) {
          INFO(site.name << " replica " << r);
          const auto s0 = bench.parameter(site.state, r), parameter = bench.parameter(site.parameter, r);
          const auto values =
              site.is_weight ? copy_of(bench.parameter(site.input, r)) : copy_of(bench.values<float>(site.input, r));
          const std::size_t row = values.size() / s0.size();
          for (std::size_t k = 0; k < s0.size(); ++k) {
            std::vector<float> part(values.begin() + static_cast<std::ptrdiff_t>(k * row),
                                    values.begin() + static_cast<std::ptrdiff_t>((k + 1) * row));
            if (std::all_of(part.begin(), part.end(), [](float v) { return v == 0.0f; })) part = values;
            REQUIRE(s0[k] == static_cast<float>(initial_step(part, site.range, !site.is_weight)));
            REQUIRE(parameter[k] == (form == StepForm::kLog ? strict::log(s0[k]) : s0[k]));
          }
        }
      }
    }
  }
}

TEST_CASE("values that are not finite are passed over", "[quant]") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> clean{0.0f, 0.5f, 1.0f, 2.0f}, dirty{0.0f, inf, 0.5f, nan, 1.0f, -inf, 2.0f};
  for (const CodeRange range : {CodeRange{0, 255}, CodeRange{-127, 127}, CodeRange{0, 3}}) {
    for (const bool large : {false, true})
      CHECK(initial_step(dirty, range, large) == initial_step(clean, range, large));
  }
  CHECK(initial_step(std::vector<float>{nan, inf}, {0, 255}, true) == 1.0);
}

TEST_CASE("calibration passes over a replica with a fault", "[quant]") {
  const EspcnCase c{
      .model = {.scale = 3, .activation = "relu", .quant = {}}, .n = 2, .h = 8, .w = 8, .backward = false};
  EspcnGraph built = espcn_graph(c);
  const auto sites = built.built.quantizers;
  ProgramBench bench(std::move(built.graph), {.replicas = 2});
  bench.store().initialise({3, 4});
  bench.store().upload_status({{.first_fault = 5}, {}});
  calibrate_espcn(bench.store(), c, [](Program&) {});
  CHECK(bench.status(0).first_fault == 5);
  for (const QuantizerSite& site : sites) {
    for (const float s0 : bench.parameter(site.state, 0)) CHECK(s0 == 1.0f);  // as before calibration
  }
  CHECK(bench.parameter("conv1.weight_step0", 1)[0] != 1.0f);
}
