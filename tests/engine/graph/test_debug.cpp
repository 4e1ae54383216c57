// Debug mode finds planted faults and names the node: NaN, values never written, writes outside.
#include <limits>

#include "engine/base/error.h"
#include "kernels/relu/relu.h"
#include "tests/engine/graph/planted_ops.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/program_bench.h"

using namespace gridstep;
using namespace gridstep::test;
using Catch::Matchers::Contains;

namespace {

constexpr Index kCount = 64;  // 256 bytes: a write behind it falls on the guard at once

// x -> before -> planted -> after, run for two replicas.
void run_with(PlantedAttrs attrs, bool debug) {
  attrs.outputs = {{Shape{kCount}, DType::kF32}};
  Graph graph;
  const ValueId x = graph.add_input("x", {{kCount}, DType::kF32});
  const ValueId planted = graph.add_node("planted_node", planted_op(), attrs, {relu(graph, "before", x)})[0];
  graph.mark_output(relu(graph, "after", planted));
  ProgramBench bench(std::move(graph), {.replicas = 2, .debug = debug});
  for (int r = 0; r < 2; ++r) fill(bench.values<float>("x", r), normal_values(kCount, 3));
  bench.run();
  bench.run();
}

void fill_output(const BoundNode& node, int replica, float value = 1.0f) {
  std::fill_n(node.out[0].at<float>(replica), kCount, value);
}

}  // namespace

TEST_CASE("debug mode accepts a correct program", "[graph]") {
  CHECK_NOTHROW(run_with({.outputs = {}}, true));
  CHECK_NOTHROW(run_with({.outputs = {}, .workspace = 1000}, true));
}

TEST_CASE("debug mode finds NaN and infinity where they arise", "[graph]") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const PlantedAttrs attrs{.outputs = {}, .run = [bad](const BoundNode& node, int replica) {
                               fill_output(node, replica);
                               if (replica == 1) node.out[0].at<float>(replica)[17] = bad;
                             }};
    CHECK_THROWS_WITH(run_with(attrs, true),
                      Contains("planted_node") && Contains("element 17") && Contains("replica 1"));
    CHECK_NOTHROW(run_with(attrs, false));
  }
}

TEST_CASE("debug mode finds an element that was never written", "[graph]") {
  // Without the poison the element would keep what lay there, often a harmless number.
  const PlantedAttrs attrs{.outputs = {}, .run = [](const BoundNode& node, int replica) {
                             std::fill_n(node.out[0].at<float>(replica), kCount - 1, 1.0f);
                           }};
  CHECK_THROWS_WITH(run_with(attrs, true), Contains("planted_node") && Contains("element 63"));
}

TEST_CASE("debug mode finds what is read before it is written", "[graph]") {
  const PlantedAttrs sum{.outputs = {}, .run = [](const BoundNode& node, int replica) {
                           for (Index i = 0; i < kCount; ++i) node.out[0].at<float>(replica)[i] += 1.0f;
                         }};
  CHECK_THROWS_WITH(run_with(sum, true), Contains("planted_node") && Contains("element 0"));
  const PlantedAttrs workspace{.outputs = {}, .workspace = 256, .run = [](const BoundNode& node, int replica) {
                                 fill_output(node, replica, *node.workspace.at<float>(replica));
                               }};
  CHECK_THROWS_WITH(run_with(workspace, true), Contains("planted_node"));
}

TEST_CASE("debug mode finds memory that an earlier value left behind", "[graph]") {
  // The fourth value lies where the second was: stale numbers must not pass for results.
  Graph graph;
  ValueId v = relu(graph, "first", graph.add_input("x", {{kCount}, DType::kF32}));
  for (const std::string name : {"second", "third", "fourth"}) v = relu(graph, name, v);
  const PlantedAttrs nothing{.outputs = {{Shape{kCount}, DType::kF32}}, .run = [](const BoundNode&, int) {}};
  graph.mark_output(relu(graph, "after", graph.add_node("lazy", planted_op(), nothing, {v})[0]));
  ProgramBench bench(std::move(graph), {.debug = true});
  fill(bench.values<float>("x"), normal_values(kCount, 3));
  CHECK_THROWS_WITH(bench.run(), Contains("lazy"));
}

TEST_CASE("debug mode finds writes outside outputs and workspaces", "[graph]") {
  for (const Index at : {Index{-1}, kCount}) {
    const PlantedAttrs output{.outputs = {}, .run = [at](const BoundNode& node, int replica) {
                                fill_output(node, replica);
                                node.out[0].at<float>(replica)[at] = 1.0f;
                              }};
    CHECK_THROWS_WITH(run_with(output, true), Contains("planted_node") && Contains("outside its output"));
    const PlantedAttrs workspace{.outputs = {}, .workspace = 256, .run = [at](const BoundNode& node, int replica) {
                                   fill_output(node, replica);
                                   node.workspace.at<float>(replica)[at] = 1.0f;
                                 }};
    CHECK_THROWS_WITH(run_with(workspace, true), Contains("planted_node") && Contains("outside its workspace"));
  }
}
