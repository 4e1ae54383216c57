// Files of a data set that cannot be used: named, counted, and too many of them refused.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/base/file.h"

namespace gridstep {

struct SkippedFile {
  std::string name;
  std::string reason;
  bool operator==(const SkippedFile&) const = default;
};

struct SplitPlace {
  std::string split;  // "train" | "val"
  fs::path root;
};

// Throws DataError, naming the first ten, when less than 90 % of `total` files are left, or none.
void require_enough(std::size_t total, const std::vector<SkippedFile>& skipped, const SplitPlace& place);

// One line, when something was skipped: how many, and the first with its reason.
void warn_of_skipped(const std::string& what, const std::vector<SkippedFile>& skipped, std::size_t used);

// For tables: "; left out because they cannot be used: 4 of 48 training files", or nothing.
std::string left_out_text(const std::vector<SkippedFile>& train, std::size_t train_used,
                          const std::vector<SkippedFile>& val, std::size_t val_used);

}  // namespace gridstep
