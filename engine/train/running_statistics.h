// Running statistics estimated anew: after training (or a change of precision) they lag behind the weights, since each
// is an exponential mean over steps whose weights were others.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/graph/program.h"

namespace gridstep {

// A forward pass after which each state holds its batch's own statistic.
struct StatisticsGraph {
  Graph graph;
  std::vector<std::string> states;  // "bn1.running_mean"
};

// Sets every state to its mean over batches 0 .. batches-1, in double; `select(b)` chooses batch b. Replicas with a
// fault keep theirs. The replicas' status is left as it was.
void average_statistics(Program& forward, ParameterStore& store, const std::vector<std::string>& states, int batches,
                        const std::function<void(int)>& select);

}  // namespace gridstep
