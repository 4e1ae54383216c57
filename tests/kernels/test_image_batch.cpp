#include "kernels/image_batch/image_batch.h"

#include <set>

#include "engine/base/philox.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/image_set.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

Graph batch_graph(const ImageBatchAttrs& attrs) {
  Graph graph;
  image_batch(graph, "batch", attrs);
  return graph;
}

// The documented order, from its description.
std::uint32_t order_oracle(std::uint64_t seed, std::uint32_t epoch, std::uint32_t k, std::uint32_t n) {
  std::uint32_t half = 0;
  for (std::uint64_t size = 1; size < n; size *= 4) ++half;
  const std::uint32_t base = std::uint32_t{1} << half;
  do {
    std::uint32_t left = k / base, right = k % base;
    for (std::uint64_t round = 0; round < 4; ++round) {
      const std::uint32_t word = philox({seed, Purpose::kPermutation, epoch}, round * 0x100000000ull + right).v[0];
      const std::uint32_t mixed = left ^ (word % base);
      left = right;
      right = mixed;
    }
    k = left * base + right;
  } while (k >= n);
  return k;
}

std::vector<std::uint8_t> crop_oracle(const ImageSet& set, const ImageBatchAttrs& a, std::uint64_t seed,
                                      std::uint32_t epoch, std::uint32_t k) {
  const std::uint32_t image = order_oracle(seed, epoch, k % set.count(), set.count());
  const Philox4 word = philox({seed, Purpose::kAugment, epoch}, k);
  const auto places = static_cast<std::uint32_t>(a.table.side + 2 * a.pad - a.crop + 1);
  const int top = static_cast<int>(uniform_below(word.v[0], places)),
            left = static_cast<int>(uniform_below(word.v[1], places));
  std::vector<std::uint8_t> out;
  for (int y = 0; y < a.crop; ++y) {
    for (int x = 0; x < a.crop; ++x) {
      const int column = a.mirror && word.v[2] >= 0x80000000u ? a.crop - 1 - x : x;
      for (int c = 0; c < 3; ++c) out.push_back(set.framed(image, top + y - a.pad, left + column - a.pad, c));
    }
  }
  return out;
}

}  // namespace

TEST_CASE("image_batch equals the documented order, crops and mirrors", "[kernels]") {
  for (const std::uint32_t count : {1u, 2u, 5u, 64u, 65u}) {
    const ImageSet set(count, 6);
    for (const ImageBatchAttrs& attrs :
         {ImageBatchAttrs{set.table(), 11, 6, 0, false}, ImageBatchAttrs{set.table(), 11, 6, 2, true},
          ImageBatchAttrs{set.table(), 3, 4, 0, true}, ImageBatchAttrs{set.table(), 1, 9, 4, false}}) {
      const Graph graph = batch_graph(attrs);
      NodeBench bench(graph, 0, 2);
      for (int replica = 0; replica < 2; ++replica) {
        bench.params(replica).seed = 0x123456789abcdefULL + static_cast<std::uint64_t>(replica);
        bench.params(replica).epoch = 3;
        bench.params(replica).first_sample = 22;
      }
      bench.run(TaskOrder::kShuffled);
      const auto size = static_cast<std::size_t>(attrs.crop * attrs.crop * 3);
      for (int replica = 0; replica < 2; ++replica) {
        const std::uint64_t seed = bench.params(replica).seed;
        for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(attrs.batch); ++i) {
          const std::span<const std::uint8_t> image = bench.out<std::uint8_t>(0, replica).subspan(i * size, size);
          CHECK_SAME(compare_exact(image, crop_oracle(set, attrs, seed, 3, 22 + i)));
          const std::uint32_t drawn = order_oracle(seed, 3, (22 + i) % count, count);
          CHECK(bench.out<std::int32_t>(1, replica)[i] == set.label(drawn));
        }
      }
    }
  }
}

TEST_CASE("every image comes once per epoch, in an order of the epoch's own", "[kernels]") {
  for (const std::uint32_t count : {1u, 2u, 3u, 16u, 17u, 100u, 1025u}) {
    const ImageSet set(count, 1);
    const Graph graph = batch_graph({set.table(), count, 1, 0, false});
    std::set<std::vector<std::int32_t>> orders;
    for (const std::uint32_t epoch : {0u, 1u, 2u}) {
      NodeBench bench(graph, 0);
      bench.params().seed = 7;
      bench.params().epoch = epoch;
      bench.run();
      std::vector<std::int32_t> labels = copy_of(bench.out<std::int32_t>(1));
      orders.insert(labels);
      std::sort(labels.begin(), labels.end());
      for (std::uint32_t i = 0; i < count; ++i) REQUIRE(labels[i] == set.label(i));  // labels are the indices
    }
    if (count > 10) CHECK(orders.size() == 3);
  }
}

TEST_CASE("image_batch refuses what cannot be cropped", "[kernels]") {
  const ImageSet set(3, 6);
  CHECK_THROWS_AS(batch_graph({{}, 4, 6, 0, false}), ConfigError);
  CHECK_THROWS_AS(batch_graph({set.table(), 0, 6, 0, false}), ConfigError);
  CHECK_THROWS_AS(batch_graph({set.table(), 4, 0, 0, false}), ConfigError);
  CHECK_THROWS_AS(batch_graph({set.table(), 4, 6, -1, false}), ConfigError);
  CHECK_THROWS_WITH(batch_graph({set.table(), 4, 9, 1, false}), Catch::Matchers::Contains("9 pixels"));
}
