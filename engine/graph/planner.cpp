#include "engine/graph/planner.h"

#include <algorithm>
#include <numeric>

#include "engine/graph/op.h"

namespace gridstep {
namespace {

std::vector<bool> find_read(const Graph& graph) {
  std::vector<bool> read(graph.values().size(), false);
  for (const Node& node : graph.nodes()) {
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) read[static_cast<std::size_t>(id)] = true;
    }
  }
  return read;
}

// False for values that fusion left without a producer, and for unread outputs that their op can do without.
bool is_needed(const Graph& graph, ValueId id, const std::vector<bool>& read) {
  const GraphValue& value = graph.value(id);
  if (value.producer < 0) return false;
  if (read[static_cast<std::size_t>(id)]) return true;
  const Node& node = graph.node(value.producer);
  const auto index = std::find(node.outputs.begin(), node.outputs.end(), id) - node.outputs.begin();
  return (node.op->droppable_outputs >> index & 1u) == 0;
}

std::vector<PlannedBlock> lifetimes(const Graph& graph) {
  const std::vector<bool> read = find_read(graph);
  const int last_node = static_cast<int>(graph.nodes().size()) - 1;
  std::vector<PlannedBlock> blocks(graph.values().size());
  for (std::size_t v = 0; v < blocks.size(); ++v) {
    const GraphValue& value = graph.values()[v];
    PlannedBlock& b = blocks[v];
    if (value.storage == Storage::kParameter || value.storage == Storage::kGradient ||
        value.storage == Storage::kShared)
      continue;
    if (value.storage == Storage::kActivation && !is_needed(graph, static_cast<ValueId>(v), read)) continue;
    b.size = std::max<Bytes>(align_up(value.spec.bytes()), kAlignment);
    b.first = b.last = std::max(value.producer, 0);
    if (value.storage != Storage::kActivation) {
      b.first = 0;
      b.last = last_node;
    }
  }
  for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
    for (const ValueId id : graph.nodes()[n].inputs) {
      if (id != kNoValue)
        blocks[static_cast<std::size_t>(id)].last =
            std::max(blocks[static_cast<std::size_t>(id)].last, static_cast<int>(n));
    }
  }
  return blocks;
}

bool overlap_in_time(const PlannedBlock& a, const PlannedBlock& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

MemoryPlan plan_memory(const Graph& graph, const std::vector<Bytes>& workspaces, PlanOptions options) {
  MemoryPlan plan;
  plan.values = lifetimes(graph);
  plan.workspaces.resize(workspaces.size());
  for (std::size_t n = 0; n < workspaces.size(); ++n) {
    plan.workspaces[n] = {0, align_up(workspaces[n]), static_cast<int>(n), static_cast<int>(n)};
  }
  std::vector<PlannedBlock*> order;
  for (auto& b : plan.values) order.push_back(&b);
  for (auto& b : plan.workspaces) order.push_back(&b);
  std::erase_if(order, [](const PlannedBlock* b) { return b->size == 0; });
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->size > b->size; });

  std::vector<const PlannedBlock*> placed;  // by offset
  for (PlannedBlock* block : order) {
    const Bytes need = block->size + options.guard_bytes;
    Bytes offset = options.guard_bytes;
    for (const PlannedBlock* other : placed) {
      if (!overlap_in_time(*block, *other)) continue;
      if (offset + need <= other->offset) break;
      offset = std::max(offset, other->offset + other->size + options.guard_bytes);
    }
    block->offset = offset;
    placed.insert(std::upper_bound(placed.begin(), placed.end(), block,
                                   [](const auto* a, const auto* b) { return a->offset < b->offset; }),
                  block);
    plan.peak = std::max(plan.peak, offset + need);
    plan.sum += need;
  }
  plan.peak = align_up(plan.peak);
  plan.blocks = static_cast<int>(order.size());
  return plan;
}

}  // namespace gridstep
