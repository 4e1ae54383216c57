#include "engine/study/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "engine/base/names.h"

namespace gridstep {
namespace {

std::string padded(const std::string& text, std::size_t width, Align align) {
  return align == Align::kLeft ? fmt::format("{:<{}}", text, width) : fmt::format("{:>{}}", text, width);
}

// The key's value, or all values of its axis: "8", "2/4/8".
std::string shown(const Study& study, std::string_view key) {
  const Axis* axis = study.find_axis(key);
  if (axis == nullptr) return study.base.text(key);
  std::vector<std::string> values;
  for (const auto& value : axis->values) values.push_back(value_text(value));
  return join(values, "/");
}

std::string epochs_text(const std::string& count) { return count + (count == "1" ? " epoch" : " epochs"); }

// Said only where it is not float32.
std::string backward_shown(const Study& study) {
  const std::string backward = shown(study, "train.backward");
  return backward == "float32" && !study.varies("train.backward") ? "" : ", convolutions' gradients in " + backward;
}

std::string bits_shown(const Study& study) {
  for (const char* key : {"quant.quantizer", "quant.weight_bits", "quant.activation_bits", "quant.layers"}) {
    if (study.varies(key)) return "quantized as each variant says";
  }
  const std::string quantizer = shown(study, "quant.quantizer");
  if (quantizer == "none") return "float";
  std::string text =
      fmt::format("W{}A{} {}", shown(study, "quant.weight_bits"), shown(study, "quant.activation_bits"), quantizer);
  if (const auto range = shown(study, "quant.weight_range"); range != "auto") text += " " + range;
  const std::string ends = shown(study, "quant.first_last_bits");
  text += ends == "0"    ? ", first and last layer alike"
          : ends == "32" ? ", first and last layer float"
                         : fmt::format(", first and last layer {} bits", ends);
  if (const auto rules = shown(study, "quant.layers"); !rules.empty()) text += ", " + rules;
  if (const auto warm = shown(study, "quant.float_epochs"); warm != "0")
    text += fmt::format(", the first {} epochs float", warm);
  if (const auto earlier = shown(study, "quant.progressive"); !earlier.empty())
    text += fmt::format(", reached by {} (epochs:W,A)", earlier);
  return text;
}

// What depends on all rows.
struct Shape {
  bool variants = false;  // has the column of variants
  bool optimizer = true;  // has the column of optimizers
  bool top5 = false;      // has the column of top-5 beside top-1
  bool drop = false;      // has the column of drops against study.reference
  bool clipping = false;  // has the column of clipped shares
  std::string mark;       // blanks in place of " !", where some row has one
};

Shape shape_of(const Study& study, std::span<const SummaryRow> rows) {
  Shape shape;
  shape.variants = !study.variants.empty();
  shape.optimizer = !shape.variants || optimizers_in_use(study).size() > 1;
  for (const auto& row : rows) {
    if (row.top5) shape.top5 = true;
    if (row.drop.n > 0) shape.drop = true;
    if (row.clipped_share >= 0) shape.clipping = true;
    if (row.under_floor) shape.mark = "  ";
  }
  return shape;
}

// "W" and "A" for bits, as in W8A8; else the key's last part.
std::string axis_title(const KeyInfo& key) {
  if (!key.leaf().ends_with("_bits")) return std::string(key.leaf());
  std::string title = key.tag;
  std::transform(title.begin(), title.end(), title.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return title;
}

TextTable make_columns(const Study& study, const Shape& shape) {
  TextTable table;
  if (shape.variants) table.columns.push_back({"variant", Align::kLeft});
  if (shape.optimizer) table.columns.push_back({"optimizer", Align::kLeft});
  for (const auto& axis : study.axes) {
    if (axis.key == "optim.name" || axis.key == "train.seed" || axis.key == "optim.lr") continue;
    table.columns.push_back({axis_title(*find_key(axis.key)), Align::kRight});
  }
  for (const char* title : {"learning rate", "mean", "std", "95 % interval", "runs", "diverged", "rank", "best*"}) {
    table.columns.push_back({title, Align::kRight});
  }
  if (shape.top5) table.columns.push_back({"top-5", Align::kRight});
  if (shape.drop) table.columns.push_back({"drop", Align::kRight});
  if (shape.clipping) table.columns.push_back({"clipped", Align::kRight});
  return table;
}

// "0.52 +- 0.31": the mean, and half its 95 % interval.
std::string drop_text(const std::string& metric, const SampleSummary& drop) {
  std::string text = metric_text(metric, drop.mean);
  if (drop.ci95) text += " +- " + metric_text(metric, (drop.ci95->second - drop.ci95->first) / 2);
  return drop.n > 0 ? text : "";
}

bool is_percent(std::string_view metric) { return metric == "top1" || metric == "top5"; }

// A share of the images lies within 0 and 100 %, which the interval of a few runs does not know.
std::string interval_text(const std::string& metric, const std::optional<std::pair<double, double>>& interval) {
  if (!interval) return "-";
  const auto within = [&](double v) { return is_percent(metric) ? std::clamp(v, 0.0, 100.0) : v; };
  return fmt::format("{} .. {}", metric_text(metric, within(interval->first)),
                     metric_text(metric, within(interval->second)));
}

std::vector<std::string> row_cells(const SummaryRow& row, const std::string& metric, const Shape& shape) {
  std::vector<std::string> cells;
  if (shape.variants) cells.push_back(row.variant);
  if (shape.optimizer) cells.push_back(row.config.get_string("optim.name"));
  for (const auto& [key, value] : row.axes) {
    if (key != "optim.lr") cells.push_back(value_text(value));
  }
  cells.push_back(row.config.text("optim.lr"));
  cells.push_back(metric_text(metric, row.score.mean) + (row.under_floor ? " !" : shape.mark));
  cells.push_back(metric_text(metric, row.score.std));
  cells.push_back(interval_text(metric, row.score.ci95));
  cells.push_back(std::to_string(row.runs));
  cells.push_back(std::to_string(row.diverged));
  cells.push_back(row.score.mean ? std::to_string(row.rank) : "-");
  cells.push_back(metric_text(metric, row.best));
  if (shape.top5) cells.push_back(metric_text("top5", row.top5));
  if (shape.drop) cells.push_back(drop_text(metric, row.drop));
  if (shape.clipping) cells.push_back(row.clipped_share < 0 ? "" : fmt::format("{:.1f} %", 100 * row.clipped_share));
  return cells;
}

// The floor's line (or another reference's): its name, what it depends on that variants set, the axes it depends on,
// its value.
std::vector<std::string> floor_cells(const Study& study, const SummaryRow& row, const Floor& floor,
                                     const std::string& metric, const Shape& shape) {
  std::vector<std::string> cells = {floor.name};
  for (const auto& key : schema()) {
    if (moves_floor(key.name) && study.varies(key.name))
      cells.front() += fmt::format(", {} {}", key.leaf(), row.config.text(key.name));
  }
  if (shape.variants && shape.optimizer) cells.emplace_back();
  for (const auto& [key, value] : row.axes) {
    if (key == "optim.lr") continue;
    cells.push_back(moves_floor(key) ? value_text(value) : "");
  }
  cells.insert(cells.end(), {"", metric_text(metric, floor.value) + shape.mark, "", "", "", "", "", ""});
  for (const bool column : {shape.top5, shape.drop, shape.clipping}) {
    if (column) cells.emplace_back();
  }
  return cells;
}

// "adam", or where an axis tells rows apart "adam W2".
std::string row_name(const SummaryRow& row) {
  std::string name = row.variant.empty() ? row.config.get_string("optim.name") : row.variant;
  for (const auto& [key, value] : row.axes) {
    if (key == "optim.lr") continue;
    const std::string title = axis_title(*find_key(key));
    name += fmt::format(" {}{}{}", title, title.size() == 1 ? "" : " ", value_text(value));
  }
  return name;
}

std::vector<std::string> floor_remarks(const Study& study, std::span<const SummaryRow> rows) {
  std::vector<std::string> losers;
  std::string name;
  for (const auto& row : rows) {
    if (!row.under_floor) continue;
    name = row.floor.name;
    const std::string loser = row_name(row);
    if (std::find(losers.begin(), losers.end(), loser) == losers.end()) losers.push_back(loser);
  }
  if (losers.empty()) return {};
  return {
      fmt::format("UNDER THE FLOOR (!): {}. A network that does not beat {} has not learned its task within {}; "
                  "its rank means nothing.",
                  join(losers), name, epochs_text(shown(study, "train.epochs")))};
}

std::vector<std::string> cell_remarks(std::span<const CellResult> cells) {
  constexpr std::size_t kShown = 6;
  std::vector<std::string> remarks;
  for (const char* status : {"diverged", "failed"}) {
    std::vector<std::string> names;
    for (const auto& result : cells) {
      if (!result.outcome || result.outcome->status != status) continue;
      const std::string& note = result.outcome->note;
      names.push_back(note.empty() ? result.cell.name : fmt::format("{} ({})", result.cell.name, note));
    }
    if (names.empty()) continue;
    const std::size_t more = names.size() > kShown ? names.size() - kShown : 0;
    names.resize(names.size() - more);
    remarks.push_back(fmt::format("{}: {}{}.", status, join(names), more > 0 ? fmt::format(" and {} more", more) : ""));
  }
  const auto open = std::count_if(cells.begin(), cells.end(), [](const CellResult& r) { return !r.outcome; });
  if (open > 0)
    remarks.push_back(fmt::format("UNFINISHED: {} of {} cells are still to be trained.", open, cells.size()));
  return remarks;
}

std::vector<std::string> clipping_remarks(std::span<const SummaryRow> rows) {
  std::vector<std::string> idle;
  for (const auto& row : rows) {
    const std::string& name = row.config.get_string("optim.name");
    if (row.clipped_share == 0 && std::find(idle.begin(), idle.end(), name) == idle.end()) idle.push_back(name);
  }
  if (idle.empty()) return {};
  return {fmt::format("CLIPPING NEVER ACTED in {}: the row shows the optimizer without clipping.", join(idle))};
}

// Breaks at blanks; continuation lines are indented.
std::string wrapped(const std::string& text, std::size_t width) {
  std::string out;
  std::size_t column = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::size_t length = end - at;
    if (column > 0 && column + 1 + length > width) {
      out += "\n  ";
      column = 2;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += text.substr(at, length);
    column += length;
    at = end + 1;
  }
  return out;
}

std::string metric_title(const std::string& metric) {
  return metric == "top1" ? "top-1 (points)" : metric == "top5" ? "top-5 (points)" : metric;
}

// "variant w4a4, from the network of float: quant.weight_bits 4, quant.activation_bits 4"
std::string variant_text(const Variant& variant) {
  std::vector<std::string> settings;
  for (const auto& [key, value] : variant.settings) settings.push_back(key + " " + value_text(value));
  return fmt::format("variant {}{}: {}", variant.name,
                     variant.start.empty() ? "" : ", from the network of " + variant.start,
                     settings.empty() ? "as the study says" : join(settings));
}

}  // namespace

std::string TextTable::render(TableStyle style) const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    std::size_t width = std::max<std::size_t>(columns[c].title.size(), 3);
    for (const auto& row : rows) width = std::max(width, row[c].size());
    widths.push_back(width);
  }
  const bool markdown = style == TableStyle::kMarkdown;
  const auto line = [&](auto&& cell) {
    std::string out = markdown ? "| " : "";
    for (std::size_t c = 0; c < columns.size(); ++c) {
      out += (c == 0 ? "" : markdown ? " | " : "  ") + padded(cell(c), widths[c], columns[c].align);
    }
    if (markdown) return out + " |\n";
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  };
  const std::string rule = line([&](std::size_t c) {
    std::string dashes(widths[c], '-');
    if (markdown && columns[c].align == Align::kRight) dashes.back() = ':';
    return dashes;
  });
  std::string out = line([&](std::size_t c) { return columns[c].title; }) + rule;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (!markdown && footer_rows > 0 && r == rows.size() - footer_rows) out += rule;
    out += line([&](std::size_t c) { return rows[r][c]; });
  }
  return out;
}

std::string metric_text(std::string_view metric, const std::optional<double>& value) {
  if (!value) return "-";
  if (metric.starts_with("psnr")) return fmt::format("{:.3f}", *value);
  if (metric.starts_with("top")) return fmt::format("{:.2f}", *value);
  if (metric == "ssim") return fmt::format("{:.5f}", *value);
  return fmt::format("{:.4g}", *value);
}

std::string tuning_text(const Study& study) {
  const Tuning& tune = study.tune;
  if (!tune.present) return "not tuned in this study";
  std::vector<std::string> seeds;
  for (const auto seed : tune.seeds) seeds.push_back(std::to_string(seed));
  const std::size_t points =
      tune.rates.empty() ? static_cast<std::size_t>(tune.points) : tune.rates.begin()->second.size();
  const std::string density = tune.rates.empty() ? fmt::format(", {} per decade", tune.points_per_decade) : "";
  const std::string epochs = tune.epochs > 0 ? std::to_string(tune.epochs) : shown(study, "train.epochs");
  return fmt::format("{} per optimizer{}, seed {}, {} each, up to {} more where the best is on the edge", points,
                     density, join(seeds), epochs_text(epochs), tune.max_extensions);
}

std::vector<std::string> study_heading(const Study& study, const StudyFacts& facts) {
  std::vector<std::string> lines;
  if (task_of(study.base) == Task::kSuperResolution) {
    lines.push_back(fmt::format("network: {} x{}, {}, {}", shown(study, "model.name"), shown(study, "model.scale"),
                                shown(study, "model.activation"), bits_shown(study)));
    lines.push_back(fmt::format("training: {}, {}, batch {}, patch {} px (low resolution), loss {}, schedule {}{}",
                                shown(study, "data.name"), epochs_text(shown(study, "train.epochs")),
                                shown(study, "train.batch"), shown(study, "train.patch"), shown(study, "train.loss"),
                                shown(study, "schedule.name"), backward_shown(study)));
  } else {
    lines.push_back(fmt::format("network: {}, {}", shown(study, "model.name"), bits_shown(study)));
    lines.push_back(fmt::format("training: {}, {}, batch {}, {}, schedule {}{}", shown(study, "data.name"),
                                epochs_text(shown(study, "train.epochs")), shown(study, "train.batch"),
                                join(optimizers_in_use(study), "/"), shown(study, "schedule.name"),
                                backward_shown(study)));
  }
  for (const auto& variant : study.variants) lines.push_back(variant_text(variant));
  lines.push_back(fmt::format("measured: {}, after the last epoch; {} is better", facts.protocol,
                              higher_is_better(metric_of(study.base)) ? "higher" : "lower"));
  lines.push_back("rates tried: " + tuning_text(study));
  lines.push_back("device: " + facts.device);
  return lines;
}

std::string page(const std::string& title, const std::vector<std::string>& facts, const TextTable& table,
                 const std::vector<std::string>& remarks, TableStyle style) {
  constexpr std::size_t kWidth = 110;
  const bool markdown = style == TableStyle::kMarkdown;
  std::string out = markdown ? fmt::format("# {}\n\n", title) : title + "\n";
  for (const auto& fact : facts) out += (markdown ? "- " + fact : "  " + wrapped(fact, kWidth - 2)) + "\n";
  out += "\n" + table.render(style) + "\n";
  for (const auto& remark : remarks) out += markdown ? remark + "\n\n" : wrapped(remark, kWidth) + "\n";
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

std::string study_table(const Study& study, std::span<const CellResult> cells, std::span<const SummaryRow> rows,
                        const StudyFacts& facts, TableStyle style) {
  const std::string metric = metric_of(study.base);
  const Shape shape = shape_of(study, rows);
  TextTable table = make_columns(study, shape);
  std::vector<const SummaryRow*> order;
  for (const auto& row : rows) order.push_back(&row);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->rank < b->rank; });
  for (const SummaryRow* row : order) table.rows.push_back(row_cells(*row, metric, shape));
  std::vector<std::string> floors_done;
  for (const auto& row : rows) {
    const std::string key = floor_key(study, row.config);
    if (row.floor.name.empty() || std::find(floors_done.begin(), floors_done.end(), key) != floors_done.end()) continue;
    floors_done.push_back(key);
    table.rows.push_back(floor_cells(study, row, row.floor, metric, shape));
    ++table.footer_rows;
    const auto more = facts.references.find(key);
    if (more == facts.references.end()) continue;
    for (const Floor& reference : more->second) {
      table.rows.push_back(floor_cells(study, row, reference, metric, shape));
      ++table.footer_rows;
    }
  }
  std::vector<std::string> remarks = floor_remarks(study, rows);
  for (const auto& more : {clipping_remarks(rows), cell_remarks(cells)})
    remarks.insert(remarks.end(), more.begin(), more.end());
  if (shape.drop) {
    remarks.push_back(fmt::format(
        "drop: how much worse than {} in {}, run by run with equal seeds; mean, and half its 95 % interval.",
        study.base.get_string("study.reference"), metric_title(metric)));
  }
  remarks.push_back(
      fmt::format("interval: Student-t, 95 %, of the mean over the runs that did not diverge{}; *: mean of each run's "
                  "best epoch, chosen on the same images, so it flatters.",
                  is_percent(metric) ? ", cut at 0 and 100 %" : ""));
  return page(study.base.get_string("study.name"), study_heading(study, facts), table, remarks, style);
}

}  // namespace gridstep
