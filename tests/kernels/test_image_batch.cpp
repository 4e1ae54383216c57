#include "kernels/image_batch/image_batch.h"

#include <algorithm>
#include <cmath>
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

struct Box {
  int row, column, height, width;
};

// torchvision's draws, in double precision.
Box box_oracle(double least, int side, std::uint64_t seed, std::uint32_t epoch, std::uint32_t k) {
  const PhiloxKey key{seed, Purpose::kAugment, epoch};
  for (std::uint64_t attempt = 1; attempt <= 10; ++attempt) {
    const Philox4 word = philox(key, (attempt << 32) + k);
    const double area = side * side * (least + (1.0 - least) * (word.v[0] >> 8) / 16777216.0);
    const double ratio = std::exp(std::log(4.0 / 3.0) * (2.0 * (word.v[1] >> 8) / 16777216.0 - 1.0));
    const int width = static_cast<int>(std::lround(std::sqrt(area * ratio))),
              height = static_cast<int>(std::lround(std::sqrt(area / ratio)));
    if (width < 1 || height < 1 || width > side || height > side) continue;
    return {static_cast<int>(uniform_below(word.v[2], static_cast<std::uint32_t>(side - height + 1))),
            static_cast<int>(uniform_below(word.v[3], static_cast<std::uint32_t>(side - width + 1))), height, width};
  }
  return {0, 0, side, side};
}

// Bilinear between the centres of pixels, those beyond the box being its edge.
double resized_oracle(const ImageSet& set, std::uint32_t image, const Box& box, int crop, int y, int x, int c) {
  const auto at = [&](double r, double q) {
    return static_cast<double>(set.framed(image, box.row + static_cast<int>(std::clamp(r, 0.0, box.height - 1.0)),
                                          box.column + static_cast<int>(std::clamp(q, 0.0, box.width - 1.0)), c));
  };
  const double v = std::max(0.0, (y + 0.5) * box.height / crop - 0.5),
               h = std::max(0.0, (x + 0.5) * box.width / crop - 0.5);
  const double r = std::floor(v), q = std::floor(h), down = v - r, right = h - q;
  return (at(r, q) * (1 - right) + at(r, q + 1) * right) * (1 - down) +
         (at(r + 1, q) * (1 - right) + at(r + 1, q + 1) * right) * down;
}

}  // namespace

TEST_CASE("random resized crops: torchvision's boxes, bilinear to within a code", "[kernels]") {
  for (const int side : {1, 7, 32}) {
    for (const int crop : {1, side, side > 5 ? side - 3 : side}) {
      for (const float least : {0.08f, 0.6f}) {
        const ImageSet set(3, side);
        const ImageBatchAttrs attrs{set.table(), 40, crop, 0, true, least};
        INFO(side << " -> " << crop << ", least share " << least);
        const Graph graph = batch_graph(attrs);
        NodeBench bench(graph, 0);
        bench.params().seed = 99;
        bench.params().epoch = 4;
        bench.params().first_sample = 7;
        bench.run(TaskOrder::kShuffled);
        std::size_t at = 0;
        std::set<int> widths;
        for (std::uint32_t k = 7; k < 47; ++k) {
          const Box box = box_oracle(static_cast<double>(least), side, 99, 4, k);
          widths.insert(box.width);
          if (box.width * box.height > 100)
            CHECK(box.width * box.height > 0.9 * static_cast<double>(least) * side * side);
          const bool mirror = philox({99, Purpose::kAugment, 4}, k).v[2] >= 0x80000000u;
          const std::uint32_t image = order_oracle(99, 4, k % 3, 3);
          for (int y = 0; y < crop; ++y) {
            for (int x = 0; x < crop; ++x) {
              for (int c = 0; c < 3; ++c, ++at) {
                const double want = resized_oracle(set, image, box, crop, y, mirror ? crop - 1 - x : x, c);
                if (std::fabs(static_cast<double>(bench.out<std::uint8_t>(0)[at]) - want) > 0.85) {
                  FAIL("pixel " << y << ", " << x << ", " << c << " of sample " << k << ": "
                                << static_cast<int>(bench.out<std::uint8_t>(0)[at]) << ", wanted " << want);
                }
              }
            }
          }
        }
        CHECK(at == bench.out<std::uint8_t>(0).size());
        if (side == 32) CHECK(widths.size() > 5);
      }
    }
  }
}

TEST_CASE("resized crops that cannot be are refused", "[kernels]") {
  const ImageSet set(3, 8);
  CHECK_THROWS_AS(batch_graph({set.table(), 2, 8, 0, false, 0.0f}), ConfigError);
  CHECK_THROWS_AS(batch_graph({set.table(), 2, 8, 0, false, 1.5f}), ConfigError);
  CHECK_THROWS_AS(batch_graph({set.table(), 2, 8, 1, false, 0.5f}), ConfigError);
}

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
