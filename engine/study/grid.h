// From a study to its cells, and from cells to populations.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/study/config.h"
#include "engine/study/definition.h"

namespace gridstep {

// One point of the grid, under one variant where the study has any.
struct Cell {
  std::string name;       // safe as a file name, unique in its study: "adam-s0", "adam-w4-s3", "w4a4-s0"
  std::string variant;    // empty: the study has none
  std::string start;      // name of the cell whose last network this one starts from; empty: fresh weights
  int depth = 0;          // length of the chain of starts: a cell trains after those of less depth
  bool left_out = false;  // by run.variants: shown with the others if it was trained before, but not trained
  Config config;          // complete; optim.lr is resolved from [rates]
  std::vector<std::pair<std::string, std::string>> axes;  // (key, value as text) of every grid axis, in schema order
};

// All cells, those left out among them; variants vary slowest, then optimizers, and seeds fastest. Throws ConfigError
// for impossible combinations, for keys that no cell uses ("has no effect"), for a missing learning rate and for
// duplicate values of an axis.
std::vector<Cell> expand_cells(const Study& study);

// Cells whose keys are equal but for per-replica ones: they can train in one program. In order of first appearance,
// those that start from other cells after these.
std::vector<std::vector<Cell>> architecture_groups(std::span<const Cell> cells);

// One group cut into the fewest populations of at most `max_replicas`, of sizes that differ by one at most.
std::vector<std::vector<Cell>> split_population(std::vector<Cell> group, int max_replicas);

// Combinations that cannot work, key by key; throws ConfigError naming the keys. (validate.cpp)
void check_combination(const Config& config);
// Variants that contradict each other, the grid or the rest of the study; throws ConfigError. (validate.cpp)
void check_variants(const Study& study);
// Settings that no cell of the study uses, and axes that some cell does not use; throws ConfigError. (validate.cpp)
void check_effects(const Study& study, std::span<const Cell> cells);

}  // namespace gridstep
