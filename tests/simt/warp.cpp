// Rendezvous of a warp: the last lane of a mask to arrive computes what every lane gets.
#include <algorithm>

#include "block.h"
#include "race.h"

namespace simt::rt {

const char* BlockRunner::name_of(const WarpCall& call) {
  static constexpr const char* kNames[] = {
      "__syncwarp",        "__shfl_sync",       "__shfl_up_sync",    "__shfl_down_sync",
      "__shfl_xor_sync",   "__ballot_sync",     "__any_sync",        "__all_sync",
      "__match_any_sync",  "__match_all_sync",  "__reduce_add_sync", "__reduce_min_sync",
      "__reduce_max_sync", "__reduce_and_sync", "__reduce_or_sync",  "__reduce_xor_sync"};
  return call.op == WarpOp::kCollective ? call.name : kNames[static_cast<int>(call.op)];
}

std::uint64_t BlockRunner::warp(const WarpCall& call, Site site) {
  Thread* const thread = current_;
  const unsigned lane = lane_index(), w = thread->flat / kWarpLanes;
  Warp& warp = warps_[w];
  if (!has_lane(call.mask, lane)) {
    fail(std::string(name_of(call)) + ": the calling lane is not in its own mask", site);
  }
  if ((call.mask & ~warp.all) != 0) {
    fail(std::string(name_of(call)) + ": the mask names lanes that the block does not have", site);
  }
  thread->call = call;
  thread->site = site;
  thread->state = State::kAtWarp;
  unsigned i = 0;
  while (i < warp.count && warp.open[i].call.mask != call.mask) ++i;
  if (i == warp.count) {
    warp.open[warp.count++] = {0, call, site, &warp.sync[warp.syncs++ % sizeof warp.sync]};
  } else if (warp.open[i].call.op != call.op || !same_place(warp.open[i].site, site)) {
    fail(std::string("divergent warp: ") + name_of(call) + " here, while lanes of the same mask wait in " +
             name_of(warp.open[i].call) + " at " + text(warp.open[i].site),
         site);
  }
  OpenOp& open = warp.open[i];
  open.arrived |= 1u << lane;
  if (call.op == WarpOp::kSync) {  // the only one that orders memory
    thread->awaited = open.sync;
    race::release(open.sync);
  }
  if (open.arrived == (call.mask & warp.alive)) complete(w, i);
  wait(thread);
  return thread->call.value;
}

void BlockRunner::complete(unsigned w, unsigned index) {
  Warp& warp = warps_[w];
  const OpenOp open = warp.open[index];
  if (const std::uint32_t gone = open.call.mask & warp.all & ~warp.alive; gone != 0) {
    fail(std::string(name_of(open.call)) + ": " + std::to_string(__builtin_popcount(gone)) +
             " lanes of the mask have exited",
         open.site);
  }
  warp.open[index] = warp.open[--warp.count];
  Thread* const lanes = &threads_[w * kWarpLanes];
  exchange(open, lanes);
  for (unsigned i = 0; i < kWarpLanes; ++i) {
    const unsigned lane = schedule_.order == Order::kReverse ? i : kWarpLanes - 1 - i;
    if (has_lane(open.arrived, lane)) release(&lanes[lane]);
  }
}

void BlockRunner::exchange(const OpenOp& open, Thread* lanes) {
  std::uint32_t ballot = 0;
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    if (has_lane(open.arrived, lane) && lanes[lane].call.value != 0) ballot |= 1u << lane;
  }
  const auto give_all = [&](std::uint64_t value) {
    for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
      if (has_lane(open.arrived, lane)) lanes[lane].call.value = value;
    }
  };
  switch (open.call.op) {
    case WarpOp::kSync:
      return;
    case WarpOp::kBallot:
      return give_all(ballot);
    case WarpOp::kAny:
      return give_all(ballot != 0 ? 1 : 0);
    case WarpOp::kAll:
      return give_all(ballot == open.arrived ? 1 : 0);
    case WarpOp::kMatchAny:
    case WarpOp::kMatchAll:
      return match(open, lanes);
    case WarpOp::kShuffle:
    case WarpOp::kShuffleUp:
    case WarpOp::kShuffleDown:
    case WarpOp::kShuffleXor:
      return shuffle(open, lanes);
    case WarpOp::kCollective: {
      void* data[kWarpLanes];
      for (unsigned lane = 0; lane < kWarpLanes; ++lane) data[lane] = lanes[lane].call.data;
      return open.call.exchange(data);
    }
    default:
      return reduce(open, lanes);
  }
}

void BlockRunner::shuffle(const OpenOp& open, Thread* lanes) {
  const auto source_of = [&](const WarpCall& call, int lane) {
    const int segment = call.width - 1, first = lane & ~segment, last = lane | segment;
    switch (call.op) {
      case WarpOp::kShuffle:
        return first | (call.argument & segment);
      case WarpOp::kShuffleUp:
        return lane - call.argument < first ? lane : lane - call.argument;
      case WarpOp::kShuffleDown:
        return lane + call.argument > last ? lane : lane + call.argument;
      default:
        return (lane ^ call.argument) > last ? lane : lane ^ call.argument;
    }
  };
  std::uint64_t in[kWarpLanes] = {};
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    if (has_lane(open.arrived, lane)) in[lane] = lanes[lane].call.value;
  }
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    if (!has_lane(open.arrived, lane)) continue;
    const int source = source_of(lanes[lane].call, static_cast<int>(lane));
    if (source < 0 || source >= static_cast<int>(kWarpLanes) ||
        !has_lane(open.arrived, static_cast<unsigned>(source))) {
      current_ = &lanes[lane];
      fail(std::string(name_of(open.call)) + ": lane " + std::to_string(lane) + " reads lane " +
               std::to_string(source) + ", which takes no part",
           open.site);
    }
    lanes[lane].call.value = in[source];
  }
}

void BlockRunner::match(const OpenOp& open, Thread* lanes) {
  std::uint32_t same[kWarpLanes] = {};
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    for (unsigned other = 0; other < kWarpLanes; ++other) {
      const bool both = has_lane(open.arrived, lane) && has_lane(open.arrived, other);
      if (both && lanes[lane].call.value == lanes[other].call.value) same[lane] |= 1u << other;
    }
  }
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    const bool given = open.call.op == WarpOp::kMatchAny || same[lane] == open.arrived;
    if (has_lane(open.arrived, lane)) lanes[lane].call.value = given ? same[lane] : 0;
  }
}

void BlockRunner::reduce(const OpenOp& open, Thread* lanes) {
  const auto join = [&](std::uint32_t a, std::uint32_t b) {
    switch (open.call.op) {
      case WarpOp::kReduceAdd:
        return a + b;
      case WarpOp::kReduceMin:
        return std::min(a, b);
      case WarpOp::kReduceMax:
        return std::max(a, b);
      case WarpOp::kReduceAnd:
        return a & b;
      case WarpOp::kReduceOr:
        return a | b;
      default:
        return a ^ b;
    }
  };
  const auto first = static_cast<unsigned>(__builtin_ctz(open.arrived));
  auto result = static_cast<std::uint32_t>(lanes[first].call.value);
  for (unsigned lane = first + 1; lane < kWarpLanes; ++lane) {
    if (has_lane(open.arrived, lane)) result = join(result, static_cast<std::uint32_t>(lanes[lane].call.value));
  }
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    if (has_lane(open.arrived, lane)) lanes[lane].call.value = result;
  }
}

}  // namespace simt::rt
