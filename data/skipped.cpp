#include "data/skipped.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/base/names.h"

namespace gridstep {

void require_enough(std::size_t total, const std::vector<SkippedFile>& skipped, const SplitPlace& place) {
  const std::size_t usable = total - skipped.size();
  if (usable * 10 >= total * 9 && usable > 0) return;
  std::string list;
  constexpr std::size_t kShown = 10;
  for (std::size_t i = 0; i < std::min(kShown, skipped.size()); ++i)
    list += fmt::format("\n  {}: {}", skipped[i].name, skipped[i].reason);
  if (skipped.size() > kShown) list += fmt::format("\n  and {} more", skipped.size() - kShown);
  fail<DataError>(
      "only {} of the {} {} photos in '{}' can be used; at least 90 % must be\n"
      "  `gridstep data check` lists every fault; repair or remove these files:{}",
      usable, total, place.split, place.root.string(), list);
}

void warn_of_skipped(const std::string& what, const std::vector<SkippedFile>& skipped, std::size_t used) {
  if (skipped.empty()) return;
  log_warn("{}: {} of {} files skipped (first: {}: {})", what, skipped.size(), skipped.size() + used,
           skipped.front().name, skipped.front().reason);
}

std::string left_out_text(const std::vector<SkippedFile>& train, std::size_t train_used,
                          const std::vector<SkippedFile>& val, std::size_t val_used) {
  std::vector<std::string> parts;
  if (!train.empty()) parts.push_back(fmt::format("{} of {} training files", train.size(), train.size() + train_used));
  if (!val.empty()) parts.push_back(fmt::format("{} of {} validation files", val.size(), val.size() + val_used));
  return parts.empty() ? "" : "; left out because they cannot be used: " + join(parts, " and ");
}

}  // namespace gridstep
