#include "apps/gridstep/training.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/gridstep/cell_checkpoints.h"
#include "engine/base/error.h"
#include "engine/base/interrupt.h"
#include "engine/base/log.h"
#include "engine/study/optimizer_config.h"
#include "engine/study/results.h"
#include "engine/study/training_phases.h"
#include "engine/train/import_weights.h"

namespace gridstep {
namespace {

using Json = nlohmann::ordered_json;

Schedule schedule_of(const Config& c) {
  Schedule s;
  s.kind = find_schedule(c.get_string("schedule.name"));
  s.every = c.get_int("schedule.step_epochs");
  s.gamma = c.get_float("schedule.gamma");
  s.milestones = c.get_list("schedule.milestones");
  s.min_lr = c.get_float("schedule.min_lr");
  s.warmup_steps = c.get_int("schedule.warmup_steps");
  check_schedule(s);
  return s;
}

// What describes the network and its training, as TOML; without the keys that concern a run or a machine.
std::string portable_config(const Config& c) {
  std::string text;
  for (const KeyInfo& key : schema()) {
    const bool portable = key.scope == KeyScope::kArchitecture || key.scope == KeyScope::kReplica;
    if (!portable || key.name == "data.root" || key.name == "train.init") continue;
    if (std::holds_alternative<std::monostate>(c.value(key.name))) continue;
    text += fmt::format("{} = {}\n", key.name, value_toml(c.value(key.name)));
  }
  return text;
}

ReplicaSettings replica_settings(const Config& c) {
  ReplicaSettings s;
  s.seed = static_cast<std::uint64_t>(c.get_int("train.seed"));
  s.rule = find_optimizer(c.get_string("optim.name"));
  s.optimizer = optimizer_settings(c);
  s.schedule = schedule_of(c);
  s.lr = c.get_float("optim.lr");
  return s;
}

std::vector<ReplicaSettings> all_settings(std::span<const Cell> cells) {
  std::vector<ReplicaSettings> settings;
  for (const Cell& cell : cells) settings.push_back(replica_settings(cell.config));
  return settings;
}

// Measured after the last epoch only, unless the study ranks by it.
bool is_costly(const std::string& metric) { return metric == "ssim"; }

std::string duration(double seconds) {
  const auto s = static_cast<long>(std::floor(seconds + 0.5));
  return s >= 3600 ? fmt::format("{}h{:02}m", s / 3600, s / 60 % 60) : fmt::format("{}m{:02}s", s / 60, s % 60);
}

void add_measured(Json& line, const Measured& val, const Measured& train) {
  for (const auto& [name, value] : val.metrics) line["val_" + name] = value;
  // The training loss is the mean over the epoch's batches; the sample's own would bear the same name.
  for (const auto& [name, value] : train.metrics) {
    if (name != "loss") line["train_" + name] = value;
  }
}

Json health_json(const std::vector<SiteHealth>& sites) {
  Json layers = Json::object();
  for (const SiteHealth& h : sites) {
    Json& layer = layers[h.name];
    layer = {{"step", h.step},
             {"step_update", h.step_update},
             {"clipped", h.clipped},
             {"codes_used", h.codes_used},
             {"dead_channels", h.dead_channels}};
    if (h.is_weight) layer["update"] = h.update;
  }
  return layers;
}

// Keeps the lines of epochs up to `epochs`; returns the seconds that the last of them reports.
double trim_metrics(const fs::path& path, std::int64_t epochs) {
  if (!fs::exists(path)) return 0.0;
  const std::string text = read_file(path);
  std::string kept;
  double seconds = 0.0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const Json line = Json::parse(text.substr(at, end - at), nullptr, false);
    if (line.is_object() && line.value("epoch", epochs + 1) <= epochs) {
      kept += text.substr(at, end - at) + "\n";
      seconds = line.value("seconds", seconds);
    }
    at = end + 1;
  }
  write_file_atomic(path, kept);
  return seconds;
}

}  // namespace

fs::path cell_folder(const fs::path& run_folder, const Cell& cell) { return run_folder / "cells" / cell.name; }

Training::Training(Device& device, std::span<const Cell> cells, const RunOptions& options,
                   std::unique_ptr<TrainingTask> task)
    : device_(device),
      options_(options),
      config_(cells.front().config),
      task_(std::move(task)),
      population_(device, task_->graphs(), all_settings(cells),
                  {.steps_per_epoch = task_->steps_per_epoch(),
                   .epochs = config_.get_int("train.epochs"),
                   .phases = training_phases(config_),
                   .batch = static_cast<std::uint32_t>(task_->batch()),
                   .debug = config_.get_int("run.debug") != 0,
                   .capture = config_.get_string("run.capture") == "auto",
                   .health = config_.get_bool("run.health")}),
      steps_per_epoch_(task_->steps_per_epoch()),
      progress_(cells.size()) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells_.push_back(&cells[i]);
    progress_[i].folder = cell_folder(options.folder, cells[i]);
    fs::create_directories(progress_[i].folder / "checkpoints");
  }
}

void Training::start() {
  population_.initialise();
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    trim_metrics(progress_[i].folder / "metrics.jsonl", -1);
    load_start(i);
  }
}

// From the network of another cell, or from a file; else the initial weights stay.
void Training::load_start(std::size_t i) {
  const std::string& init = config_.get_string("train.init");
  const std::string& start = cells_[i]->start;
  if (init.empty() && start.empty()) return;
  const SafetensorsFile file(start.empty() ? fs::path(init)
                                           : options_.folder / "cells" / start / "checkpoints" / "last.safetensors");
  const ImportReport report = import_weights(file, population_.store(), static_cast<int>(i));
  if (i > 0) return;
  log_info("start from {}: {}", start.empty() ? init : start, report.text());
}

void Training::load() {
  std::vector<ReplicaStatus> status;
  std::int64_t step = 0;
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    CellProgress& p = progress_[i];
    const SafetensorsFile file = usable_checkpoint(p.folder).value();
    const auto& settings = population_.replicas()[i];
    const CheckpointState state = load_checkpoint(file, population_.store(), static_cast<int>(i),
                                                  slots_in_use(settings.rule, settings.optimizer));
    const auto digest = state.extra.find("data");
    if (digest != state.extra.end() && digest->second != task_->data_digest()) {
      fail<DataError>(
          "{} was trained on other images than are there now; restore them, or start anew with another --out",
          p.folder.string());
    }
    step = state.step;
    status.push_back(state.status);
    static_cast<CellRecord&>(p) = read_record(file);
    p.seconds_before = trim_metrics(p.folder / "metrics.jsonl", step / steps_per_epoch_);
  }
  population_.store().upload_status(status);
  population_.seek(step);
}

std::vector<CellOutcome> Training::run() {
  const std::int64_t step = options_.resume ? checkpoint_step(progress_.front().folder) : 0;
  if (step > 0) {
    load();
  } else {
    start();
  }
  first_step_ = population_.steps_done();
  started_ = std::chrono::steady_clock::now();
  const std::int64_t every = config_.get_int("train.checkpoint_steps");
  while (population_.steps_done() < population_.total_steps() && !all_diverged()) {
    population_.step();
    if (population_.at_epoch_end()) {
      end_epoch();
    } else if (every > 0 && population_.steps_done() % every == 0) {
      save("last");
    }
    show_progress(false);
    if (interrupt_requested()) {
      save("last");
      fail<Interrupted>("stopped at step {} of {}", population_.steps_done(), population_.total_steps());
    }
  }
  show_progress(true);
  for (const CellProgress& p : progress_) remove_previous(p.folder);
  const auto status = population_.store().download_status();
  std::vector<CellOutcome> outcomes;
  for (std::size_t i = 0; i < cells_.size(); ++i) outcomes.push_back(outcome(i, status[i]));
  return outcomes;
}

bool Training::all_diverged() const {
  return std::all_of(progress_.begin(), progress_.end(), [](const CellProgress& p) { return !p.fault.empty(); });
}

double Training::seconds(std::size_t i) const {
  const std::chrono::duration<double> now = std::chrono::steady_clock::now() - started_;
  return progress_[i].seconds_before + now.count() / static_cast<double>(cells_.size());
}

void Training::end_epoch() {
  ParameterStore& store = population_.store();
  device_.synchronize();
  auto status = store.download_status();
  const std::int64_t epoch = population_.steps_done() / steps_per_epoch_;
  const bool last = population_.steps_done() == population_.total_steps();
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    if (status[i].first_fault != 0 && progress_[i].fault.empty()) {
      progress_[i].fault = population_.fault_text(status[i].first_fault);
      log_warn("{} diverged: {}", cells_[i]->name, progress_[i].fault);
    }
  }
  const auto batches = static_cast<int>(config_.get_int("train.norm_batches"));
  if (last && batches > 0) population_.estimate_statistics(batches);
  const bool everything = last || is_costly(metric_of(config_));
  const bool evaluates = last || epoch % config_.get_int("eval.every_epochs") == 0;
  std::vector<Measured> val, train;
  std::vector<std::vector<SiteHealth>> health;
  if (evaluates) {
    val = task_->measure(store, Split::kVal, population_.phase(), everything);
    train = task_->measure(store, Split::kTrain, population_.phase(), false);
    health = population_.health();
  }
  task_->require_unchanged_data();
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    if (evaluates && progress_[i].fault.empty() && val[i].fault) {
      progress_[i].fault = fmt::format("not finite in the evaluation after step {}", population_.steps_done());
      log_warn("{} diverged: {}", cells_[i]->name, progress_[i].fault);
    }
    const bool ok = progress_[i].fault.empty();
    Json line = metrics_line(i, status[i]);
    if (ok && evaluates) add_measured(line, val[i], train[i]);
    if (ok && !health.empty()) line["layers"] = health_json(health[i]);
    append_line(progress_[i].folder / "metrics.jsonl", line.dump());
    if (ok && evaluates) progress_[i].last = val[i].metrics;
    status[i].loss_sum = 0.0;
    status[i].loss_count = 0;
  }
  store.upload_status(status);
  if (evaluates) {
    for (std::size_t i = 0; i < cells_.size(); ++i) note_best(i, status);
  }
  const std::int64_t every = config_.get_int("train.checkpoint_epochs");
  if (last || (every > 0 && epoch % every == 0)) save("last");
}

void Training::note_best(std::size_t i, const std::vector<ReplicaStatus>& status) {
  CellProgress& p = progress_[i];
  // Of a phase with other bits an epoch is no result, however good.
  if (!p.fault.empty() || !population_.has_final_bits()) return;
  const std::string metric = metric_of(config_);
  const double now = p.last.at(metric);
  const double sign = higher_is_better(metric) ? 1.0 : -1.0;
  if (!p.best.empty() && !(sign * now > sign * p.best.at(metric))) return;
  p.best = p.last;
  // Measured after the last epoch only: "best" must not depend on which epoch that is.
  std::erase_if(p.best, [&](const auto& entry) { return is_costly(entry.first) && entry.first != metric; });
  p.best_epoch = population_.steps_done() / steps_per_epoch_;
  save_cell(i, "best", status);
}

nlohmann::ordered_json Training::metrics_line(std::size_t i, const ReplicaStatus& status) const {
  const double loss = status.loss_count > 0 ? status.loss_sum / static_cast<double>(status.loss_count) : std::nan("");
  const Phase& phase = population_.phase();
  Json line;
  line["epoch"] = population_.steps_done() / steps_per_epoch_;
  line["step"] = population_.steps_done();
  line["quantized"] = phase.quantized;
  if (phase.quantized) line["bits"] = {phase.weight_bits, phase.activation_bits};
  if (phase.frozen_norm) line["frozen_norm"] = true;
  line["train_loss"] = std::isfinite(loss) ? Json(loss) : Json(nullptr);
  if (status.clippable > 0)
    line["clipped_share"] = static_cast<double>(status.clipped) / static_cast<double>(status.clippable);
  line["inexact_channels"] = status.inexact;
  line["seconds"] = seconds(i);
  if (!progress_[i].fault.empty()) line["fault"] = progress_[i].fault;
  return line;
}

void Training::save(const char* which) {
  device_.synchronize();
  task_->require_unchanged_data();  // a checkpoint holds no step of other pixels than the digest's
  const auto status = population_.store().download_status();
  for (std::size_t i = 0; i < cells_.size(); ++i) save_cell(i, which, status);
}

void Training::save_cell(std::size_t i, const char* which, const std::vector<ReplicaStatus>& status) {
  const CellProgress& p = progress_[i];
  const ReplicaSettings& settings = population_.replicas()[i];
  const Phase& phase = population_.phase();
  CheckpointState state;
  state.step = population_.steps_done();
  state.status = status[i];
  state.extra = {{"progress", record_text(p)},
                 {"config", portable_config(cells_[i]->config)},
                 {"data", task_->data_digest()},
                 {"quantized", phase.quantized ? "1" : "0"},
                 {"bits", fmt::format("{},{}", phase.weight_bits, phase.activation_bits)}};
  if (std::string_view(which) == "last") set_last_aside(p.folder);
  save_checkpoint(checkpoint_path(p.folder, which), population_.store(), static_cast<int>(i),
                  slots_in_use(settings.rule, settings.optimizer), state);
}

void Training::show_progress(bool final) {
  const std::int64_t done = population_.steps_done(), total = population_.total_steps();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - started_;
  const double rate = static_cast<double>(done - first_step_) / std::max(passed.count(), 1e-9);
  const double left = rate > 0.0 ? static_cast<double>(total - done) / rate : 0.0;
  const auto now = std::chrono::steady_clock::now();
  static auto shown = now - std::chrono::seconds(1);  // at most ten lines a second reach the terminal
  if (!final && now - shown < std::chrono::milliseconds(100)) return;
  shown = now;
  log_progress(
      fmt::format("{}{}epoch {}/{}  step {}/{}  {} network{}  {:.0f} steps/s  {} left", options_.label,
                  options_.label.empty() ? "" : "  ", std::min(done / steps_per_epoch_ + 1, total / steps_per_epoch_),
                  total / steps_per_epoch_, done, total, cells_.size(), cells_.size() == 1 ? "" : "s",
                  rate * static_cast<double>(cells_.size()), duration(left)),
      final);
}

CellOutcome Training::outcome(std::size_t i, const ReplicaStatus& status) const {
  const CellProgress& p = progress_[i];
  CellOutcome o;
  o.status = p.fault.empty() ? "ok" : "diverged";
  o.steps = population_.steps_done();
  o.seconds = seconds(i);
  o.replicas = static_cast<int>(cells_.size());
  o.metrics = p.last;
  o.best = p.best;
  o.note = p.fault;
  if (status.clippable > 0)
    o.clipped_share = static_cast<double>(status.clipped) / static_cast<double>(status.clippable);
  return o;
}

}  // namespace gridstep
