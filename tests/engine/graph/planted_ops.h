// Small ops for tests of the engine: shapes and behaviour come from their attributes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep::test {

struct PlantedAttrs {
  std::vector<ValueSpec> outputs;
  Bytes workspace = 0;
  unsigned droppable = 0;
  // One task of one launch; empty: outputs become 1.
  std::function<void(const BoundNode&, int replica)> run = {};
};

inline std::vector<ValueSpec> planted_infer(const Node& node, std::span<const ValueSpec>) {
  return node.attrs_as<PlantedAttrs>().outputs;
}

inline Bytes planted_workspace(const Node& node, std::span<const ValueSpec>, DeviceKind) {
  return node.attrs_as<PlantedAttrs>().workspace;
}

inline void record_planted(Recorder& recorder, const BoundNode& node) {
  const auto run = node.attrs<PlantedAttrs>().run;
  recorder.launch("", 1, [bound = node, run](const TaskContext& t) {
    if (run) return run(bound, t.replica);
    for (const Tensor& out : bound.out) {
      for (Index i = 0; out.data != nullptr && i < out.elements(); ++i) out.at<float>(t.replica)[i] = 1.0f;
    }
  });
}

inline const OpDef& planted_op() {
  static const OpDef op{
      .name = "planted", .infer = planted_infer, .workspace = planted_workspace, .record_cpu = record_planted};
  return op;
}

// Its first output may be dropped.
inline const OpDef& planted_droppable_op() {
  static const OpDef op{.name = "planted_droppable",
                        .infer = planted_infer,
                        .workspace = planted_workspace,
                        .record_cpu = record_planted,
                        .droppable_outputs = 1u};
  return op;
}

}  // namespace gridstep::test
