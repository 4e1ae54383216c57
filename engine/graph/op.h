// The contract between the engine and an operation. One folder under kernels/ defines each; the registry lists them.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "engine/device/device.h"
#include "engine/graph/graph.h"
#include "engine/graph/step_params.h"

namespace gridstep {

class Recorder;
class GradientBuilder;

// A node with its memory: what an op's record function works on. Absent optional inputs have null data.
struct BoundNode {
  const Node& node;
  std::vector<Tensor> in;
  std::vector<Tensor> out;
  Tensor workspace;  // as many bytes per replica as OpDef::workspace asked for

  template <class A>
  const A& attrs() const {
    return node.attrs_as<A>();
  }
};

using RecordFn = void (*)(Recorder&, const BoundNode&);

struct OpDef {
  std::string_view name;  // "conv2d"
  // Shapes and types of the outputs; throws ConfigError when the inputs do not fit.
  std::vector<ValueSpec> (*infer)(const Node& node, std::span<const ValueSpec> in);
  // Bytes per replica that the op needs while it runs; null: none.
  Bytes (*workspace)(const Node& node, std::span<const ValueSpec> in, DeviceKind device) = nullptr;
  // Pushes the CPU launches. CUDA launches come from the plug-in under the same name.
  RecordFn record_cpu = nullptr;
  // Adds the backward nodes; null: no gradient flows through.
  void (*gradient)(GradientBuilder& builder, const Node& node) = nullptr;
  // Fusion (passes/fuse.h). True when `self` now does the work of its sole producer (or sole reader) as well; the pass
  // rewires the graph: a swallowed producer's inputs are taken over, a swallowed reader's outputs are appended to those
  // of `self`.
  bool (*absorb_producer)(Node& self, const Node& producer) = nullptr;
  bool (*absorb_reader)(Node& self, const Node& reader) = nullptr;
  // Bit i: output i may have null data when nobody reads it.
  unsigned droppable_outputs = 0;
};

// Collects the launches of a program. It knows the device, the replicas and the step parameters.
class Recorder {
 public:
  Recorder(Device& device, int replicas, const StepParams* params, ReplicaStatus* status)
      : device_(device), replicas_(replicas), params_(params), status_(status) {}

  Device& device() const { return device_; }
  int replicas() const { return replicas_; }
  // (replicas) entries in device memory; the trainer refills them before every step.
  const StepParams* params() const { return params_; }
  ReplicaStatus* status() const { return status_; }

  // How many tasks a batch of n samples is cut into: depends on n only, never on threads.
  static int chunks(Index n) { return static_cast<int>(n < 8 ? n : 8); }
  struct Range {
    Index begin, end;
    Index size() const { return end - begin; }
  };
  // Part `i` of `parts` nearly equal parts of [0, n).
  static Range part(Index n, int parts, int i) { return {n * i / parts, n * (i + 1) / parts}; }

  // Adds a launch of the node being recorded, labelled "<node>" or "<node>/<suffix>".
  void launch(std::string_view suffix, int tasks, std::function<void(const TaskContext&)> run);
  // Every thread gets at least this much scratch memory.
  void need_scratch(Bytes size) { scratch_bytes_ = size > scratch_bytes_ ? size : scratch_bytes_; }

  int node_index() const { return node_; }
  void set_node(int index, std::string name) {
    node_ = index;
    name_ = std::move(name);
  }
  std::vector<Launch> take_launches() { return std::move(launches_); }
  Bytes scratch_bytes() const { return scratch_bytes_; }

 private:
  Device& device_;
  int replicas_;
  const StepParams* params_;
  ReplicaStatus* status_;
  int node_ = -1;
  std::string name_;
  Bytes scratch_bytes_ = 0;
  std::vector<Launch> launches_;
};

}  // namespace gridstep
