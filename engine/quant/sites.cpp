#include "engine/quant/sites.h"

#include <algorithm>

#include "engine/base/error.h"

namespace gridstep {
namespace {

// The node that quantizes at a site: the one that reads the site's step.
NodeId quantizer_of(const Graph& graph, const QuantizerSite& site) {
  const auto& nodes = graph.nodes();
  const auto is_step = [&](ValueId id) {
    return id != kNoValue && graph.value(id).storage == Storage::kParameter &&
           graph.parameters()[static_cast<std::size_t>(graph.value(id).parameter)].name == site.parameter;
  };
  const auto it = std::find_if(nodes.begin(), nodes.end(), [&](const Node& node) {
    return std::any_of(node.inputs.begin(), node.inputs.end(), is_step);
  });
  GS_CHECK(it != nodes.end(), "no node reads the step '{}'", site.parameter);
  return static_cast<NodeId>(it - nodes.begin());
}

}  // namespace

void visit_sites(Program& forward, ParameterStore& store, const std::vector<QuantizerSite>& sites,
                 const std::function<void(const QuantizerSite&, const Tensor&)>& visit) {
  NodeId done = 0;
  for (const QuantizerSite& site : sites) {
    const NodeId quantizer = quantizer_of(forward.graph(), site);
    GS_CHECK(quantizer >= done, "'{}' comes before the site that was visited last", site.name);
    forward.run_nodes(done, quantizer);
    store.device().synchronize();
    done = quantizer;
    const int weight = store.find(site.input);
    visit(site, weight >= 0 ? store.weight(weight) : forward.live_tensor(site.input));
  }
}

}  // namespace gridstep
