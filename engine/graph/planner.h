// The memory planner: every activation gets an offset in one arena, so that values whose lives do not overlap share
// memory.
#pragma once

#include <vector>

#include "engine/graph/graph.h"
#include "engine/tensor/tensor.h"

namespace gridstep {

struct PlannedBlock {
  Bytes offset = 0;
  Bytes size = 0;
  int first = 0, last = 0;  // the nodes during which the block is alive
};

struct MemoryPlan {
  std::vector<PlannedBlock> values;      // by value id; size 0: not in the arena
  std::vector<PlannedBlock> workspaces;  // by node id
  Bytes peak = 0;                        // bytes of one replica's arena
  Bytes sum = 0;                         // what it would be if nothing were shared
  int blocks = 0;
};

struct PlanOptions {
  Bytes guard_bytes = 0;  // between blocks, checked in debug mode
};

// Activations live from their producer to their last reader, workspaces during their node, inputs and outputs
// throughout. Largest block first, each at the lowest offset that is free during its life: deterministic.
MemoryPlan plan_memory(const Graph& graph, const std::vector<Bytes>& workspaces, PlanOptions options = {});

}  // namespace gridstep
