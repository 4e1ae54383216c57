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

// What an op answers when it is offered a neighbour's work (passes/fuse.h).
struct Fusion {
  enum class Kind {
    kNo,
    kReplaces,  // the neighbour's first output takes the place of the op's own, which is never made
    kAdds,      // the neighbour's outputs follow those of the op
  };
  Kind kind = Kind::kNo;
  std::string_view reason = {};  // why not, where the two might be expected to fuse
};

struct OpDef {
  std::string_view name;  // "conv2d"
  // Shapes and types of the outputs; throws ConfigError when the inputs do not fit.
  std::vector<ValueSpec> (*infer)(const Node& node, std::span<const ValueSpec> in);
  // Bytes per replica that the op needs while it runs; null: none.
  Bytes (*workspace)(const Node& node, std::span<const ValueSpec> in, DeviceKind device) = nullptr;
  // Bytes per thread that its CPU launches scratch in, for the plan: what they ask Recorder::need_scratch for; null:
  // none.
  Bytes (*scratch)(const Node& node, std::span<const ValueSpec> in) = nullptr;
  // Pushes the CPU launches. CUDA launches come from the plug-in under the same name.
  RecordFn record_cpu = nullptr;
  // Adds the backward nodes; null: no gradient flows through.
  void (*gradient)(GradientBuilder& builder, const Node& node) = nullptr;
  // Fusion (passes/fuse.h): whether `self` now does its neighbour's work as well; its attributes then say so, and the
  // pass rewires the graph. A producer that nobody else reads: its inputs are taken over. A reader of the first output,
  // the only one if `sole`: its other inputs and its outputs are taken over.
  bool (*absorb_producer)(Node& self, const Node& producer) = nullptr;
  Fusion (*absorb_reader)(Node& self, const Node& reader, bool sole) = nullptr;
  // True when `producer`, which writes the first input, now yields one more output of `spec` that is the last input of
  // `self`.
  bool (*extend_producer)(Node& self, Node& producer, std::span<const ValueSpec> in, ValueSpec& spec) = nullptr;
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
