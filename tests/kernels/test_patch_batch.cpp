#include "kernels/patch_batch/patch_batch.h"

#include <map>

#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/photo_set.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

Graph batch_graph(const PhotoTable& table, Index batch, int patch, int scale) {
  Graph graph;
  patch_batch(graph, "batch", {table, batch, patch, scale});
  return graph;
}

template <class T>
std::span<const T> part(std::span<const T> all, std::size_t i, std::size_t size) {
  return all.subspan(i * size, size);
}

}  // namespace

TEST_CASE("patch_batch equals the documented draws", "[kernels]") {
  for (const int scale : {1, 2, 3}) {
    const PhotoSet set({{5, 9}, {17, 5}, {6, 6}}, scale);  // 5 pixels: exactly one position
    constexpr int kPatch = 5;
    const Graph graph = batch_graph(set.table(), 11, kPatch, scale);
    NodeBench bench(graph, 0, 2);
    const auto lr_size = static_cast<std::size_t>(kPatch * kPatch * 3),
               hr_size = lr_size * static_cast<std::size_t>(scale * scale);
    for (int replica = 0; replica < 2; ++replica) {
      bench.params(replica).seed = 0x123456789abcdefULL + static_cast<std::uint64_t>(replica);
      bench.params(replica).epoch = 3;
      bench.params(replica).first_sample = 22;
    }
    for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kShuffled}) {
      bench.run(order);
      for (int replica = 0; replica < 2; ++replica) {
        const std::span<const std::uint8_t> lr = bench.out<std::uint8_t>(0, replica),
                                            hr = bench.out<std::uint8_t>(1, replica);
        for (std::size_t i = 0; i < 11; ++i) {
          const SampleOracle s = sample_oracle(set.photos(), kPatch, bench.params(replica).seed, 3, 22 + i);
          const PhotoOracle& photo = set.photos()[s.photo];
          CHECK_SAME(compare_exact(part(lr, i, lr_size),
                                   patch_oracle(photo.lr, photo.width, s.row, s.column, kPatch, s.orientation)));
          CHECK_SAME(
              compare_exact(part(hr, i, hr_size), patch_oracle(photo.hr, photo.width * scale, s.row * scale,
                                                               s.column * scale, kPatch * scale, s.orientation)));
        }
      }
    }
  }
}

TEST_CASE("a sample does not depend on the batch it is in", "[kernels]") {
  const PhotoSet set({{12, 9}, {8, 31}}, 2);
  const Graph large = batch_graph(set.table(), 12, 4, 2), small = batch_graph(set.table(), 3, 4, 2);
  NodeBench whole(large, 0), piece(small, 0);
  whole.run();
  piece.params().first_sample = 9;
  piece.run();
  CHECK_SAME(compare_exact(piece.out<std::uint8_t>(1), whole.out<std::uint8_t>(1).subspan(9 * 192)));
  const std::vector<std::uint8_t> before = copy_of(piece.out<std::uint8_t>(1));
  piece.params().epoch = 1;
  piece.run();
  CHECK_FALSE(compare_exact(piece.out<std::uint8_t>(1), before).ok);
}

TEST_CASE("photos are drawn by area, orientations and positions alike", "[kernels]") {
  const PhotoSet set({{10, 10}, {10, 30}}, 1);
  std::map<std::size_t, int> photos;
  std::map<int, int> orientations;
  for (std::uint64_t i = 0; i < 8000; ++i) {
    const SampleOracle s = sample_oracle(set.photos(), 4, 5, 0, i);
    ++photos[s.photo];
    ++orientations[s.orientation];
  }
  CHECK(std::abs(photos[0] - 2000) < 200);  // five standard deviations
  REQUIRE(orientations.size() == 8);
  for (const auto& [orientation, count] : orientations) CHECK(std::abs(count - 1000) < 150);
}

TEST_CASE("patch_batch refuses an empty table and empty patches", "[kernels]") {
  const PhotoSet set({{5, 5}}, 2);
  CHECK_THROWS_WITH(batch_graph({}, 4, 17, 3), Catch::Matchers::Contains("17"));
  CHECK_THROWS_AS(batch_graph(set.table(), 0, 5, 2), ConfigError);
  CHECK_THROWS_AS(batch_graph(set.table(), 4, 0, 2), ConfigError);
  CHECK_THROWS_AS(batch_graph(set.table(), 4, 5, 0), ConfigError);
}
