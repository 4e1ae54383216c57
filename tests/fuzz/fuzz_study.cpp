// Study files, TOML and JSON; and, behind the word "--set" and a line's end, one argument of --set per line.
#include "engine/base/error.h"
#include "engine/study/definition.h"
#include "engine/study/grid.h"
#include "tests/fuzz/target.h"

namespace gridstep::fuzz {
namespace {

constexpr std::string_view kSet = "--set\n";
constexpr std::size_t kMostCells = 8;  // keeps an execution short

std::size_t cells_of(const Study& study) {
  std::size_t count = std::max<std::size_t>(1, study.variants.size());
  for (const Axis& axis : study.axes) count = std::min(count * axis.values.size(), 2 * kMostCells);
  return count;
}

// A study that was accepted is the same study when it is written out and read again, and its cells have distinct names.
void check_study(const Study& study) {
  require(parse_study(to_toml(study), "") == study, "a resolved study is the same study");
  require(!study_identity(study).empty(), "a study has an identity");
  if (cells_of(study) > kMostCells) return;
  accepts<ConfigError>([&] {
    const std::vector<Cell> cells = expand_cells(study);
    std::size_t grouped = 0;
    for (const auto& group : architecture_groups(cells)) grouped += group.size();
    require(grouped == cells.size(), "every cell is in a group");
    for (const Cell& cell : cells) {
      require(cell.config.get_float("optim.lr") > 0, "a cell has a learning rate");
      require(cell.name.find('/') == std::string::npos && cell.name.front() != '.', "a cell's name is a file name");
    }
  });
}

Study with_settings(std::string_view lines) {
  Study study;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    apply_set(study, line);
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
  }
  return study;
}

}  // namespace
}  // namespace gridstep::fuzz

GS_FUZZ_TARGET(study) {
  using namespace gridstep;
  using namespace gridstep::fuzz;
  const std::string_view text = text_of(input);
  Study study;
  const bool read = accepts<ConfigError>([&] {
    study = text.starts_with(kSet) ? with_settings(text.substr(kSet.size())) : parse_study(text, "a-study.toml");
  });
  if (read) check_study(study);
}
