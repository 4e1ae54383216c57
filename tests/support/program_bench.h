// A recorded program with its own device and parameters: planner, arena and executor as in training.
//   ProgramBench bench(std::move(graph), {.replicas = 2, .threads = 4});
//   bench.set_parameter("conv1.weight", values);   bench.set<float>("x", values);   bench.program().run();
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/graph/program.h"

namespace gridstep::test {

struct ProgramBenchOptions {
  int replicas = 1, threads = 1;
  bool debug = false;
};

class ProgramBench {
 public:
  explicit ProgramBench(Graph graph, ProgramBenchOptions options = {})
      : device_(make_cpu_device(options.threads)),
        store_(*device_, graph.parameters(), options.replicas, 0, true),
        program_(std::move(graph), store_, {.debug = options.debug, .capture = true, .epilogue = {}}) {}

  Program& program() { return program_; }
  ParameterStore& store() { return store_; }
  void run() { program_.run(); }

  // An input or output of the program.
  template <class T>
  std::span<T> values(std::string_view name, int replica = 0) {
    return span_of<T>(program_.tensor(name), replica);
  }
  std::span<float> parameter(std::string_view name, int replica = 0) {
    return span_of<float>(store_.weight(index(name)), replica);
  }
  std::span<float> gradient(std::string_view name, int replica = 0) {
    return span_of<float>(store_.gradient(index(name)), replica);
  }
  ReplicaStatus status(int replica = 0) { return store_.download_status()[static_cast<std::size_t>(replica)]; }
  // Gradients of every trained parameter, in the order of the table.
  std::vector<float> gradients(int replica = 0) {
    std::vector<float> all;
    for (const ParameterInfo& info : store_.table()) {
      if (info.role == Role::kState) continue;
      const auto g = gradient(info.name, replica);
      all.insert(all.end(), g.begin(), g.end());
    }
    return all;
  }

 private:
  int index(std::string_view name) const {
    const int i = store_.find(name);
    GS_CHECK(i >= 0, "no parameter '{}'", name);
    return i;
  }
  template <class T>
  static std::span<T> span_of(const Tensor& t, int replica) {
    GS_CHECK(size_of(t.dtype) == static_cast<Bytes>(sizeof(T)), "elements are {}", name_of(t.dtype));
    return {t.at<T>(replica), static_cast<std::size_t>(t.elements())};
  }

  std::unique_ptr<Device> device_;
  ParameterStore store_;
  Program program_;
};

}  // namespace gridstep::test
