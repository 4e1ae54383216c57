// The engine's promise on a whole training graph: the same bits for 1, 2 and 4 threads, for a replica alone or among
// others, for whatever lay in memory before.
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/espcn_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Setup {
  EspcnCase model;
  int threads = 1;
  bool debug = false;
};

EspcnCase network(int bits, bool fused) {
  EspcnCase c{.model = {.scale = 3, .activation = "relu", .quant = {}}, .n = 9, .h = 7, .w = 6, .fused = fused};
  c.model.quant.weight_bits = c.model.quant.activation_bits = bits;
  return c;
}

void fill_pixels(Program& program, const std::string& name, const std::vector<std::uint64_t>& seeds) {
  const Tensor t = program.tensor(name);
  for (std::size_t r = 0; r < seeds.size(); ++r) {
    const auto values = byte_values(t.elements(), static_cast<unsigned>(seeds[r]) + (name == "hr" ? 100u : 0u));
    std::copy(values.begin(), values.end(), t.at<std::uint8_t>(static_cast<int>(r)));
  }
}

// Loss, output and all gradients of every replica after two runs.
std::vector<std::vector<float>> results(const Setup& s, const std::vector<std::uint64_t>& seeds) {
  ProgramBench bench(espcn_graph(s.model).graph,
                     {.replicas = static_cast<int>(seeds.size()), .threads = s.threads, .debug = s.debug});
  bench.store().initialise(seeds);
  calibrate_espcn(bench.store(), s.model, [&](Program& program) { fill_pixels(program, "lr", seeds); });
  fill_pixels(bench.program(), "lr", seeds);
  fill_pixels(bench.program(), "hr", seeds);
  bench.run();
  bench.run();
  std::vector<std::vector<float>> all;
  for (int r = 0; r < static_cast<int>(seeds.size()); ++r) {
    std::vector<float> values = bench.gradients(r);
    const auto y = bench.values<float>("shuffle", r);
    values.insert(values.end(), y.begin(), y.end());
    values.push_back(static_cast<float>(bench.values<double>("loss", r)[0]));
    all.push_back(std::move(values));
  }
  return all;
}

}  // namespace

TEST_CASE("a training graph gives the same bits on 1, 2 and 4 threads", "[graph]") {
  for (const bool fused : {false, true}) {
    for (const int replicas : {1, 3}) {
      INFO("fused " << fused << " replicas " << replicas);
      const std::vector<std::uint64_t> seeds{4, 5, 6};
      const std::vector<std::uint64_t> used(seeds.begin(), seeds.begin() + replicas);
      const auto one = results({network(8, fused), 1}, used);
      for (const int threads : {2, 4}) {
        const auto many = results({network(8, fused), threads}, used);
        for (std::size_t r = 0; r < one.size(); ++r) CHECK_SAME(compare_bits(many[r], one[r]));
      }
    }
  }
}

TEST_CASE("a replica of a population equals its solo run bit for bit", "[graph]") {
  for (const int bits : {8, 3}) {
    const std::vector<std::uint64_t> seeds{11, 12, 13, 14, 15};
    const auto together = results({network(bits, true), 2}, seeds);
    for (std::size_t r = 0; r < seeds.size(); ++r) {
      INFO("bits " << bits << " replica " << r);
      CHECK_SAME(compare_bits(together[r], results({network(bits, true), 1}, {seeds[r]})[0]));
    }
    CHECK_FALSE(compare_bits(together[0], together[1]).ok);  // different seeds: the comparison can fail
  }
}

TEST_CASE("debug mode gives the bits of the ordinary run", "[graph]") {
  const auto plain = results({network(4, true)}, {21, 22}), debug = results({network(4, true), 2, true}, {21, 22});
  for (std::size_t r = 0; r < plain.size(); ++r) CHECK_SAME(compare_bits(debug[r], plain[r]));
}

TEST_CASE("a diverging replica leaves the others untouched", "[graph]") {
  const EspcnCase c = network(8, true);
  const auto run = [&](bool poison) {
    ProgramBench bench(espcn_graph(c).graph, {.replicas = 2, .threads = 2});
    bench.store().initialise({1, 2});
    calibrate_espcn(bench.store(), c, [&](Program& program) { fill_pixels(program, "lr", {1, 2}); });
    fill_pixels(bench.program(), "lr", {1, 2});
    fill_pixels(bench.program(), "hr", {1, 2});
    if (poison) bench.parameter("conv2.weight", 0)[5] = std::numeric_limits<float>::quiet_NaN();
    bench.run();
    CHECK((bench.status(0).first_fault != 0) == poison);
    CHECK(bench.status(1).first_fault == 0);
    return bench.gradients(1);
  };
  CHECK_SAME(compare_bits(run(true), run(false)));
}
