// One node, by its CPU launches and by its CUDA launches: the same outputs, for three replicas. The tests that say only
// this are compiled twice: for the harness, which runs the kernels on the host under every schedule, and for a GPU
// (tests/cuda), where they run once.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/bind.h"
#include "tests/support/compare.h"
#if defined(GRIDSTEP_SIMT)
#include "simt.h"
#else
#include "tests/cuda/gpu_node.h"
#endif

namespace gridstep::test {

#if defined(GRIDSTEP_SIMT)
inline void run_cuda(NodeBench& bench, RecordFn record, int node_index) {
  bench.poison_with(simt::fill_byte());
  bench.run(TaskOrder::kForward, record, node_index);
}
template <class Body>
void for_each_schedule(int random_schedules, Body&& body) {
  simt::for_each_schedule(random_schedules, [&] {
    INFO("schedule " << static_cast<int>(simt::schedule().order));
    body();
  });
}
#else
inline void run_cuda(NodeBench& bench, RecordFn record, int node_index) {
  run_on_gpu(*gpu(), bench, record, node_index);
}
template <class Body>
void for_each_schedule(int, Body&& body) {
  body();
}
#endif

struct NodeCase {
  RecordFn cuda = nullptr;
  std::function<void(NodeBench&, int replica)> fill;
  std::vector<int> close = {};  // outputs (f32) that may differ in the last bit; all others agree in every bit
  int random_schedules = 1;
};

inline std::vector<std::byte> bytes_of(const Tensor& t, int replica) {
  const std::byte* p = t.at<std::byte>(replica);
  return {p, p + t.elements() * size_of(t.dtype)};
}

inline void check_same_status(const ReplicaStatus& got, const ReplicaStatus& want) {
  CHECK(got.first_fault == want.first_fault);
  CHECK(got.inexact == want.inexact);
  CHECK(got.clipped == want.clipped);
  CHECK(got.clippable == want.clippable);
  CHECK(std::memcmp(&got.loss_sum, &want.loss_sum, sizeof got.loss_sum) == 0);
  CHECK(got.loss_count == want.loss_count);
}

inline void check_same_output(const Tensor& got, const Tensor& want, int replica, bool close) {
  if (close) {
    const auto n = static_cast<std::size_t>(got.elements());
    const std::span<const float> g(got.at<float>(replica), n), w(want.at<float>(replica), n);
    CHECK_SAME(compare(g, w, {.abs = 1e-30, .rel = 1.2e-7}));
    return;
  }
  const auto g = bytes_of(got, replica), w = bytes_of(want, replica);
  const auto [first, other] = std::mismatch(g.begin(), g.end(), w.begin());
  INFO("first byte that differs: " << first - g.begin() << " of " << g.size());
  CHECK(first == g.end());
}

inline void check_node(const Graph& graph, NodeId node, const NodeCase& test) {
  constexpr int kReplicas = 3, kNodeIndex = 3;
  NodeBench cpu(graph, node, kReplicas), cuda(graph, node, kReplicas, DeviceKind::kCuda);
  for (NodeBench* bench : {&cpu, &cuda}) {
    for (int r = 0; r < kReplicas; ++r) {
      bench->params(r).seed = 77 + static_cast<unsigned>(r);
      bench->params(r).step = 5;
      bench->params(r).epoch = 2;
      bench->params(r).first_sample = 9;
      test.fill(*bench, r);
    }
  }
  cpu.run(TaskOrder::kShuffled, nullptr, kNodeIndex);
  for_each_schedule(test.random_schedules, [&] {
    for (int r = 0; r < kReplicas; ++r) cuda.status(r) = {};
    run_cuda(cuda, test.cuda, kNodeIndex);
    for (int r = 0; r < kReplicas; ++r) {
      check_same_status(cuda.status(r), cpu.status(r));
      for (std::size_t o = 0; o < cpu.bound().out.size(); ++o) {
        INFO(graph.node(node).name << ", output " << o << ", replica " << r);
        const bool close = std::find(test.close.begin(), test.close.end(), static_cast<int>(o)) != test.close.end();
        check_same_output(cuda.bound().out[o], cpu.bound().out[o], r, close);
      }
    }
  });
}

// Runs the launches with and without output 0 wanted: output `other` must be the same.
inline void check_without_first_output(NodeBench& cuda, RecordFn record, int other) {
  run_cuda(cuda, record, 0);
  const std::vector<std::byte> before = bytes_of(cuda.bound().out[static_cast<std::size_t>(other)], 0);
  cuda.drop_output(0);
  run_cuda(cuda, record, 0);
  CHECK(bytes_of(cuda.bound().out[static_cast<std::size_t>(other)], 0) == before);
}

// Different normal values and bytes for every input there is, and replica.
inline void fill_randomly(NodeBench& bench, int replica) {
  for (int i = 0; i < static_cast<int>(bench.bound().in.size()); ++i) {
    const Tensor& t = bench.bound().in[static_cast<std::size_t>(i)];
    if (t.data == nullptr) continue;
    const auto seed = static_cast<unsigned>(10 * replica + i);
    if (t.dtype == DType::kF32) {
      fill(bench.in<float>(i, replica), normal_values(t.elements(), seed, 0.6f, 0.3f));
    } else {
      fill(bench.in<std::uint8_t>(i, replica), byte_values(t.elements(), seed));
    }
  }
}

// The same, with a NaN as the last element of replica 1's first input.
inline void fill_with_nan(NodeBench& bench, int replica) {
  fill_randomly(bench, replica);
  if (replica == 1) bench.in<float>(0, replica).back() = std::numeric_limits<float>::quiet_NaN();
}

}  // namespace gridstep::test
