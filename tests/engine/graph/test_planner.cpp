// The memory planner: random graphs, whose lives and places are checked without its help.
#include "engine/graph/planner.h"

#include <algorithm>
#include <random>

#include "tests/engine/graph/planted_ops.h"
#include "tests/support/catch.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Planned {
  Graph graph;
  std::vector<Bytes> workspaces;
};

ValueSpec floats(Index n) { return {Shape{n}, DType::kF32}; }

Planned random_graph(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  Planned p;
  std::vector<ValueId> known;
  for (int i = 0; i < 3; ++i) {
    const Storage storage = i == 2 ? Storage::kShared : Storage::kInput;
    known.push_back(p.graph.add_input("in" + std::to_string(i), floats(1 + below(2000)), storage));
  }
  for (int n = 0; n < 40; ++n) {
    PlantedAttrs attrs;
    for (int o = 0; o <= below(3); ++o) attrs.outputs.push_back(floats(below(5) == 0 ? 0 : 1 + below(3000)));
    std::vector<ValueId> inputs{kNoValue};
    for (int i = 0; i <= below(3); ++i)
      inputs.push_back(
          known[known.size() - 1 -
                static_cast<std::size_t>(below(static_cast<int>(std::min<std::size_t>(known.size(), 12))))]);
    const auto out =
        p.graph.add_node("n" + std::to_string(n), below(3) == 0 ? planted_droppable_op() : planted_op(), attrs, inputs);
    known.insert(known.end(), out.begin(), out.end());
    if (below(6) == 0) p.graph.mark_output(out[0]);
    p.workspaces.push_back(below(2) == 0 ? 0 : 1 + below(9000));
  }
  return p;
}

struct Life {
  Bytes offset, size;
  int first, last;
};

// Lives from the definition: producer to last reader; inputs and outputs all along; workspaces during their node.
std::vector<Life> lives(const Planned& p, const MemoryPlan& plan) {
  std::vector<Life> result;
  const int last_node = static_cast<int>(p.graph.nodes().size()) - 1;
  for (std::size_t v = 0; v < p.graph.values().size(); ++v) {
    const GraphValue& value = p.graph.values()[v];
    const PlannedBlock& block = plan.values[v];
    const auto readers = p.graph.readers(static_cast<ValueId>(v));
    if (value.storage == Storage::kShared) {
      CHECK(block.size == 0);
      continue;
    }
    const bool first_output = value.producer >= 0 && p.graph.node(value.producer).outputs[0] == static_cast<ValueId>(v);
    const bool droppable = first_output && p.graph.node(value.producer).op->droppable_outputs == 1u;
    if (value.storage == Storage::kActivation && readers.empty() && droppable) {
      CHECK(block.size == 0);
      continue;
    }
    REQUIRE(block.size >= value.spec.bytes());
    const bool always = value.storage != Storage::kActivation;
    const int last = readers.empty() ? value.producer : readers.back();
    result.push_back({block.offset, block.size, always ? 0 : value.producer, always ? last_node : last});
  }
  for (std::size_t n = 0; n < p.workspaces.size(); ++n) {
    const PlannedBlock& block = plan.workspaces[n];
    REQUIRE(block.size >= p.workspaces[n]);
    if (block.size > 0) result.push_back({block.offset, block.size, static_cast<int>(n), static_cast<int>(n)});
  }
  return result;
}

}  // namespace

TEST_CASE("no two blocks that live at the same time overlap", "[graph]") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    const Planned p = random_graph(seed);
    for (const Bytes guard : {Bytes{0}, Bytes{256}}) {
      const MemoryPlan plan = plan_memory(p.graph, p.workspaces, {.guard_bytes = guard});
      const auto blocks = lives(p, plan);
      Bytes end = 0, largest = 0, sum = 0;
      for (std::size_t i = 0; i < blocks.size(); ++i) {
        const Life& a = blocks[i];
        REQUIRE(a.offset % kAlignment == 0);
        REQUIRE(a.offset >= guard);
        end = std::max(end, a.offset + a.size + guard);
        largest = std::max(largest, a.size);
        sum += a.size + guard;
        for (std::size_t j = 0; j < i; ++j) {
          const Life& b = blocks[j];
          if (a.first > b.last || b.first > a.last) continue;
          const bool apart = a.offset + a.size + guard <= b.offset || b.offset + b.size + guard <= a.offset;
          REQUIRE(apart);
        }
      }
      CHECK(plan.blocks == static_cast<int>(blocks.size()));
      CHECK(plan.peak == align_up(end));
      CHECK(plan.peak >= largest);
      CHECK(plan.sum == sum);
      CHECK(plan.peak <= plan.sum + guard);
    }
  }
}

TEST_CASE("planning is deterministic", "[graph]") {
  const Planned p = random_graph(7);
  const MemoryPlan a = plan_memory(p.graph, p.workspaces), b = plan_memory(p.graph, p.workspaces);
  CHECK(a.peak == b.peak);
  for (std::size_t v = 0; v < a.values.size(); ++v) REQUIRE(a.values[v].offset == b.values[v].offset);
}

TEST_CASE("a chain of equal activations shares two blocks", "[graph]") {
  Graph graph;
  ValueId x = graph.add_node("first", planted_op(), PlantedAttrs{{floats(1000)}}, {})[0];
  for (int i = 0; i < 20; ++i) {
    x = graph.add_node("n" + std::to_string(i), planted_op(), PlantedAttrs{{floats(1000)}}, {x})[0];
  }
  const MemoryPlan plan = plan_memory(graph, std::vector<Bytes>(21, 0));
  CHECK(plan.peak == 2 * align_up(4000));
  CHECK(plan.sum == 21 * align_up(4000));
}
