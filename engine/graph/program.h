// A recorded program: the graph's launches, bound to memory. Replayed by the device, which may capture them as one CUDA
// graph.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/device/device.h"
#include "engine/graph/graph.h"
#include "engine/graph/op.h"
#include "engine/graph/parameter_store.h"
#include "engine/graph/planner.h"

namespace gridstep {

struct ProgramOptions {
  // Before each node its outputs and workspace are poisoned with NaN; after it, its outputs are checked for NaN and
  // infinity, and the guard bytes around outputs and workspace for writes outside.
  bool debug = false;
  // The device may capture the launches (Device::prepare). Never with `debug`.
  bool capture = true;
  // Called after the graph's nodes are recorded: appends launches that are not nodes (the optimizer). `at_start`: the
  // nodes whose outputs these launches keep up to date.
  std::function<void(Recorder&, std::span<const BoundNode> at_start)> epilogue;
};

// What a program needs per replica, without allocating anything.
struct ProgramSize {
  MemoryPlan plan;
  Bytes per_replica = 0;
  Bytes per_thread = 0;  // scratch memory of the CPU's threads; 0 elsewhere
};
ProgramSize plan_program(const Graph& graph, DeviceKind device, bool debug = false);

class Program {
 public:
  // The parameters are shared with other programs of the same description: matched by name. `store` must outlive the
  // program.
  Program(Graph graph, ParameterStore& store, const ProgramOptions& options = {});

  void run();
  // The launches of nodes [begin, end) alone: for a pass that stops in between. All of it is run_nodes(0, end).
  void run_nodes(NodeId begin, NodeId end);
  // Memory of any value, which holds it from its producer's run to that of its last reader.
  Tensor live_tensor(std::string_view name) const;
  // Memory of an input or output of the graph, by name.
  Tensor tensor(std::string_view name) const;

  const Graph& graph() const { return graph_; }
  const MemoryPlan& plan() const { return plan_; }
  const std::vector<Launch>& launches() const { return launches_; }
  Bytes arena_bytes() const { return arena_.size(); }
  Bytes scratch_bytes() const { return scratch_bytes_; }

 private:
  Tensor bind(ValueId id) const;
  Tensor bind_parameter(const GraphValue& value) const;
  void run_start();
  void run_debug(const std::vector<Launch>& launches);
  void prepare_node(NodeId node) const;
  void check_node(NodeId node) const;
  void check_guards(NodeId node) const;

  Graph graph_;
  ParameterStore& store_;
  bool debug_;
  MemoryPlan plan_;
  Buffer arena_;
  Buffer shared_;
  std::vector<Bytes> shared_offsets_;
  std::vector<Launch> start_launches_;  // of the nodes that run at the start only
  std::uint64_t started_ = 0;           // the store's revision they have last run for
  std::vector<Launch> launches_;
  Bytes scratch_bytes_ = 0;
  std::unique_ptr<Replay> replay_;  // goes before the memory that it touches
};

}  // namespace gridstep
