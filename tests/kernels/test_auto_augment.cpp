// AutoAugment against torchvision and Pillow, byte for byte: every operation at every magnitude, sign and side, the
// whole CIFAR-10 policy with either or both operations; the documented draws; what is refused.
#include <map>

#include "engine/base/philox.h"
#include "kernels/auto_augment/cifar10_policy.h"
#include "tests/golden/augment/augment_golden.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

using Bytes8 = std::vector<std::uint8_t>;

constexpr std::uint64_t kSeed = 0x23456789abcdefULL;
constexpr std::uint32_t kEpoch = 6, kFirst = 41;

AugmentKind kind_of(const std::string& name) {
  using enum AugmentKind;
  static const std::map<std::string, AugmentKind> kinds{
      {"ShearX", kShearX},         {"ShearY", kShearY},       {"TranslateX", kTranslateX},
      {"TranslateY", kTranslateY}, {"Rotate", kRotate},       {"Color", kColor},
      {"Contrast", kContrast},     {"Sharpness", kSharpness}, {"Brightness", kBrightness},
      {"Posterize", kPosterize},   {"Solarize", kSolarize},   {"AutoContrast", kAutoContrast},
      {"Equalize", kEqualize},     {"Invert", kInvert}};
  return kinds.at(name);
}

// The script's images (tests/golden/augment/make_augment_golden.py).
std::uint8_t pixel_of(const std::string& image, int side, int y, int x, int c) {
  if (image == "noise") {
    const std::int64_t i = (y * side + x) * 3 + c + 1;
    return static_cast<std::uint8_t>(i * 15 * 7919 % 65521 % 256);
  }
  if (image == "smooth")
    return static_cast<std::uint8_t>(20 + (2 * x + 3 * y + 29 * c) * 200 / (5 * side + 58) + x * y % 7);
  if (c == 0) return 77;
  if (c == 1) return 2 * x < side ? 10 : 200;
  return (x + y) % 7 == 0 ? 255 : 0;
}

Bytes8 image_of(const std::string& image, int side) {
  Bytes8 pixels;
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x)
      for (int c = 0; c < 3; ++c) pixels.push_back(pixel_of(image, side, y, x, c));
  return pixels;
}

std::uint64_t hash_of(std::span<const std::uint8_t> bytes) {  // FNV-1a
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

Graph graph_of(Index batch, int side, std::vector<SubPolicy> policy) {
  Graph graph;
  auto_augment(graph, "augment", graph.add_input("x", {{batch, side, side, 3}, DType::kU8}), {std::move(policy)});
  return graph;
}

// A batch of one image again and again.
NodeBench bench_of(const Graph& graph, const std::string& image, TaskOrder order = TaskOrder::kForward) {
  NodeBench bench(graph, 0);
  bench.params().seed = kSeed;
  bench.params().epoch = kEpoch;
  bench.params().first_sample = kFirst;
  const auto x = bench.in<std::uint8_t>(0);
  const Bytes8 pixels = image_of(image, static_cast<int>(bench.bound().in[0].shape[1]));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = pixels[i % pixels.size()];
  bench.run(order);
  return bench;
}

std::span<const std::uint8_t> sample_of(NodeBench& bench, std::size_t i) {
  const auto y = bench.out<std::uint8_t>(0);
  const std::size_t size = y.size() / static_cast<std::size_t>(bench.bound().out[0].shape[0]);
  return y.subspan(i * size, size);
}

// The documented draw of sample i of a batch.
struct Draw {
  std::uint32_t sub;
  double chance[2];
  unsigned positive;  // bit i: of operation i
};
Draw draw_of(std::size_t i, std::uint32_t count) {
  const Philox4 word = philox({kSeed, Purpose::kAutoAugment, kEpoch}, kFirst + i);
  return {static_cast<std::uint32_t>((std::uint64_t{word.v[0]} * count) >> 32),
          {(word.v[1] >> 8) / 16777216.0, (word.v[2] >> 8) / 16777216.0},
          word.v[3] >> 31 | (word.v[3] >> 30 & 1) << 1};
}

std::size_t applied_of(const Draw& draw, const SubPolicyGolden& sub) {
  std::size_t applied = 0;
  for (std::size_t i = 0; i < 2; ++i)
    if (draw.chance[i] < static_cast<double>(sub.choices[i].probability)) applied |= std::size_t{1} << i;
  return applied;
}

}  // namespace

TEST_CASE("single operations are Pillow's, byte for byte", "[kernels][golden]") {
  constexpr Index kBatch = 6;
  std::size_t positive = 0, checked = 0;
  for (const AugmentGolden& golden : kAugmentGolden) {
    INFO(golden.operation << " " << golden.magnitude << " of " << golden.side << " pixels, " << golden.image);
    for (const std::size_t place : {0u, 1u}) {
      SubPolicy sub;
      sub[place] = {kind_of(golden.operation), 1.0f, golden.magnitude};
      const Graph graph = graph_of(kBatch, golden.side, {sub});
      NodeBench bench = bench_of(graph, golden.image);
      for (std::size_t i = 0; i < kBatch; ++i, ++checked) {
        const bool plus = (draw_of(i, 1).positive >> place & 1) != 0;
        positive += plus ? 1 : 0;
        REQUIRE(hash_of(sample_of(bench, i)) == (plus ? golden.plus : golden.minus));
      }
    }
  }
  CHECK(checked == kAugmentGolden.size() * 2 * kBatch);
  CHECK((positive > checked / 4 && positive < checked * 3 / 4));
}

TEST_CASE("the policy of CIFAR-10 is torchvision's", "[kernels][golden]") {
  const std::vector<SubPolicy> policy = cifar10_policy();
  REQUIRE((policy.size() == 25 && kCifar10Golden.size() == 25));
  for (std::size_t s = 0; s < 25; ++s) {
    for (std::size_t i = 0; i < 2; ++i) {
      INFO("sub-policy " << s << ", operation " << i);
      const AugmentGoldenChoice& want = kCifar10Golden[s].choices[i];
      CHECK(policy[s][i].kind == kind_of(want.operation));
      CHECK(policy[s][i].probability == want.probability);
      CHECK(policy[s][i].magnitude == want.magnitude);
    }
  }
}

TEST_CASE("every sub-policy gives Pillow's bytes, in every combination", "[kernels][golden]") {
  for (std::size_t s = 0; s < 25; ++s) {
    for (std::size_t applied = 0; applied < 4; ++applied) {
      SubPolicy sub = cifar10_policy()[s];
      for (std::size_t i = 0; i < 2; ++i) sub[i].probability = (applied >> i & 1) != 0 ? 1.0f : 0.0f;
      const Graph graph = graph_of(24, 32, {sub});
      NodeBench bench = bench_of(graph, "smooth", TaskOrder::kShuffled);
      unsigned signs = 0;
      for (std::size_t i = 0; i < 24; ++i) {
        const unsigned positive = draw_of(i, 1).positive;
        INFO("sub-policy " << s << ", applied " << applied << ", positive " << positive);
        REQUIRE(hash_of(sample_of(bench, i)) == kCifar10Golden[s].results[4 * applied + positive]);
        signs |= 1u << positive;
      }
      REQUIRE(signs == 15);
    }
  }
}

TEST_CASE("sub-policies, operations and signs are drawn as documented", "[kernels]") {
  constexpr std::size_t kBatch = 3000;
  const Graph graph = graph_of(kBatch, 32, cifar10_policy());
  NodeBench bench = bench_of(graph, "smooth");
  std::vector<double> drawn(25), applied(25 * 2);
  for (std::size_t i = 0; i < kBatch; ++i) {
    const Draw draw = draw_of(i, 25);
    const SubPolicyGolden& sub = kCifar10Golden[draw.sub];
    const std::size_t which = applied_of(draw, sub);
    INFO("sample " << i << ", sub-policy " << draw.sub << ", applied " << which);
    REQUIRE(hash_of(sample_of(bench, i)) == sub.results[4 * which + draw.positive]);
    drawn[draw.sub] += 1.0;
    for (std::size_t o = 0; o < 2; ++o) applied[2 * draw.sub + o] += static_cast<double>(which >> o & 1);
  }
  for (std::size_t s = 0; s < 25; ++s) {  // five standard deviations
    INFO("sub-policy " << s);
    CHECK(std::fabs(drawn[s] - kBatch / 25.0) < 5 * std::sqrt(kBatch * 0.04 * 0.96));
    for (std::size_t o = 0; o < 2; ++o) {
      const auto p = static_cast<double>(kCifar10Golden[s].choices[o].probability);
      CHECK(std::fabs(applied[2 * s + o] - p * drawn[s]) <= 5 * std::sqrt(drawn[s] * p * (1 - p)) + 1e-3);
    }
  }
}

TEST_CASE("an augmented sample depends on neither batch nor replica", "[kernels]") {
  const Graph all = graph_of(12, 17, cifar10_policy()), one = graph_of(1, 17, cifar10_policy());
  const Bytes8 pixels = byte_values(12 * 17 * 17 * 3, 5);
  NodeBench bench(all, 0, 2);
  for (int r = 0; r < 2; ++r) {
    bench.params(r).seed = 8 + static_cast<std::uint64_t>(r);
    bench.params(r).first_sample = 20;
    fill(bench.in<std::uint8_t>(0, r), pixels);
  }
  bench.run(TaskOrder::kShuffled);
  CHECK(copy_of(bench.out<std::uint8_t>(0, 0)) != copy_of(bench.out<std::uint8_t>(0, 1)));
  for (int r = 0; r < 2; ++r) {
    for (std::size_t i = 0; i < 12; ++i) {
      NodeBench solo(one, 0);
      solo.params().seed = 8 + static_cast<std::uint64_t>(r);
      solo.params().first_sample = 20 + static_cast<std::uint32_t>(i);
      const std::size_t size = 17 * 17 * 3;
      fill(solo.in<std::uint8_t>(0), std::span(pixels).subspan(i * size, size));
      solo.run();
      CHECK_SAME(compare_exact(solo.out<std::uint8_t>(0), bench.out<std::uint8_t>(0, r).subspan(i * size, size)));
    }
  }
}

TEST_CASE("what cannot be augmented is refused", "[kernels]") {
  const std::vector<SubPolicy> policy = cifar10_policy();
  CHECK_THROWS_WITH(graph_of(1, kMaxAugmentSide + 1, policy), Catch::Matchers::Contains("86 pixels"));
  CHECK_NOTHROW(graph_of(1, kMaxAugmentSide, policy));
  CHECK_THROWS_AS(graph_of(1, 8, {}), ConfigError);
  CHECK_THROWS_AS(graph_of(1, 8, std::vector<SubPolicy>(26)), ConfigError);
  CHECK_THROWS_AS(graph_of(1, 8, {SubPolicy{{{AugmentKind::kInvert, 1.0f, 10}, {}}}}), ConfigError);
  CHECK_THROWS_AS(graph_of(1, 8, {SubPolicy{{{AugmentKind::kInvert, 1.0f, -1}, {}}}}), ConfigError);
  for (const ValueSpec& spec : {ValueSpec{{2, 8, 9, 3}, DType::kU8}, ValueSpec{{2, 8, 8, 1}, DType::kU8},
                                ValueSpec{{8, 8, 3}, DType::kU8}, ValueSpec{{2, 8, 8, 3}, DType::kF32}}) {
    Graph graph;
    CHECK_THROWS_AS(auto_augment(graph, "augment", graph.add_input("x", spec), {policy}), ConfigError);
  }
}
