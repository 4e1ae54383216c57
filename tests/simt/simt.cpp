#include "simt.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

#include "block.h"
#include "cases.h"
#include "symbols.h"

namespace simt {

Schedule& schedule() {
  static Schedule current;
  return current;
}

unsigned char fill_byte() { return schedule().order == Order::kReverse ? 0xa5 : 0xff; }

namespace rt {
namespace {

std::string text(dim3 d) { return std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z); }

// The limits of compute capability 8.0 and above.
const char* refusal(const KernelLaunch& l) {
  const std::uint64_t threads = std::uint64_t{l.block.x} * l.block.y * l.block.z;
  if (threads == 0 || threads > 1024 || l.block.z > 64) return "block shape";
  if (l.grid.x == 0 || l.grid.y == 0 || l.grid.z == 0) return "empty grid";
  if (l.grid.x > 2147483647u || l.grid.y > 65535 || l.grid.z > 65535) return "grid shape";
  if (l.shared_bytes > 160 * 1024) return "more than 160 KiB of dynamic shared memory";
  if (current_block() != nullptr) return "launch from inside a kernel";
  return nullptr;
}

std::uint64_t copies = 0;

std::vector<std::uint64_t> block_order(std::uint64_t blocks) {
  std::vector<std::uint64_t> order(blocks);
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  if (schedule().order == Order::kReverse) std::reverse(order.begin(), order.end());
  if (schedule().order == Order::kRandom) {
    Random random(schedule().seed + 77);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  }
  return order;
}

}  // namespace

void run(const KernelLaunch& launch) {
  if (const char* reason = refusal(launch); reason != nullptr) {
    throw Failure(std::string("launch refused: ") + reason + " (" + kernel_at(launch.kernel).name + ", grid " +
                  text(launch.grid) + " block " + text(launch.block) + " shared " +
                  std::to_string(launch.shared_bytes) + ")");
  }
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  count_launch(launch.kernel);
  BlockRunner runner(launch);
  const std::uint64_t row = launch.grid.x, plane = row * launch.grid.y;
  for (const std::uint64_t b : block_order(plane * launch.grid.z)) {
    const std::string& error = runner.run(uint3{static_cast<unsigned>(b % row), static_cast<unsigned>(b % plane / row),
                                                static_cast<unsigned>(b / plane)});
    if (!error.empty()) throw Failure(error);
  }
}

int barrier(Vote vote, int predicate, Site site) { return current_block()->barrier(vote, predicate, site); }
std::uint64_t warp(WarpOp op, std::uint32_t mask, std::uint64_t value, int argument, int width, Site site) {
  return current_block()->warp({op, mask, value, argument, width}, site);
}
void warp_collective(const char* name, Exchange exchange, void* data, Site site) {
  current_block()->warp({WarpOp::kCollective, 0xffffffffu, 0, 0, 32, name, exchange, data}, site);
}
unsigned lane_index() { return current_block()->lane_index(); }
void fail(const std::string& what, Site site) { current_block()->fail(what, site); }

void before_atomic(const volatile void* address) { current_block()->before_atomic(address); }
void after_atomic(const volatile void* address) { current_block()->after_atomic(address); }
void fence() { current_block()->fence(); }

void copy_async(void* shared, const void* global, int size, int bytes, Site site) {
  if (bytes < 0) fail("cp.async: a negative number of bytes", site);
  ++copies;
  current_block()->copy_async({shared, global, static_cast<std::size_t>(size), static_cast<std::size_t>(bytes)}, site);
}
void commit_copies() { current_block()->copies().commit(); }
void wait_for_copies(int pending_groups) { current_block()->copies().wait(pending_groups); }

std::uint64_t copies_so_far() { return copies; }

void* dynamic_shared() { return current_block()->dynamic_shared(); }
void* shared_slot(int slot, std::size_t bytes, std::size_t alignment) {
  return current_block()->shared_slot(slot, bytes, alignment);
}
int new_shared_slot() {
  static std::atomic<int> count{0};
  return count++;
}

}  // namespace rt
}  // namespace simt
