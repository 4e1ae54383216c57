#include "engine/train/population.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "engine/base/memory.h"
#include "engine/device/plugin.h"
#include "kernels/quantize/quantize.h"
#include "optim/optimizer.h"

namespace gridstep {
namespace {

int slots_needed(const std::vector<ReplicaSettings>& replicas) {
  int slots = 0;
  for (const auto& r : replicas) slots = std::max(slots, slots_in_use(r.rule, r.optimizer));
  return slots;
}

StepKind step_kind(const ParameterInfo& info) {
  if (info.role != Role::kStep) return StepKind::kNone;
  return info.log_step ? StepKind::kLog : StepKind::kLinear;
}

Segment segment_of(const ParameterStore& store, int parameter) {
  const ParameterInfo& info = store.table()[static_cast<std::size_t>(parameter)];
  const Index size = info.shape.elements();
  Segment s{.begin = store.offset(parameter),
            .size = size,
            .unit = size,
            .role = info.role,
            .clip_units = info.clip_units,
            .step_kind = step_kind(info)};
  if (info.shape.rank() >= 2) s.unit = size / info.shape[0];
  if (s.step_kind != StepKind::kNone) {
    const int state = store.find(info.state);
    GS_CHECK(state >= 0, "step '{}' has no calibrated step '{}'", info.name, info.state);
    s.step0 = store.offset(state);
    s.clip_units = false;
  }
  return s;
}

// The segment that a parameter's tensor is.
int segment_at(const OptimizerArena& arena, const Tensor& parameter) {
  const Index begin = parameter.at<float>(0) - arena.weights;
  const auto found = std::find_if(arena.segments.begin(), arena.segments.end(),
                                  [&](const Segment& s) { return s.begin == begin && s.size > 0; });
  GS_CHECK(found != arena.segments.end(), "a quantizer reads {} at {}, which is not trained", parameter.shape.text(),
           begin);
  return static_cast<int>(found - arena.segments.begin());
}

CodeOutput code_output_of(const OptimizerArena& arena, const BoundNode& node) {
  GS_CHECK(node.node.op == &quantize_op(), "{}: the optimizer keeps outputs of quantizers only", node.node.name);
  return {.weights = segment_at(arena, node.in[0]),
          .steps = segment_at(arena, node.in[1]),
          .range = node.attrs<QuantizeAttrs>().range,
          .codes = node.out[0],
          .step_values = node.out[1]};
}

}  // namespace

Population::Population(Device& device, TrainingGraphs graphs, std::vector<ReplicaSettings> replicas,
                       PopulationOptions options)
    : device_(device),
      graphs_(std::move(graphs)),
      replicas_(std::move(replicas)),
      options_(std::move(options)),
      params_(replicas_.size()) {
  GS_CHECK(!replicas_.empty() && options_.steps_per_epoch > 0, "a population needs replicas and steps");
  GS_CHECK(!options_.phases.empty() && options_.phases.front().first_epoch == 0, "the first phase begins at epoch 0");
  if (options_.steps_per_epoch >
      std::numeric_limits<std::uint32_t>::max() / std::max<std::uint32_t>(options_.batch, 1)) {
    fail<ConfigError>(
        "{} steps of {} samples are more than an epoch can count (2^32 samples): lower train.steps_per_epoch",
        options_.steps_per_epoch, options_.batch);
  }
  const Graph graph = graphs_.train(options_.phases.back());
  store_ = std::make_unique<ParameterStore>(device_, graph.parameters(), static_cast<int>(replicas_.size()),
                                            slots_needed(replicas_), true);
}

void Population::initialise() {
  std::vector<std::uint64_t> seeds;
  for (const auto& r : replicas_) seeds.push_back(r.seed);
  store_->initialise(seeds);
  seek(0);
}

int Population::phase_at(std::int64_t step) const {
  const std::int64_t epoch = step / options_.steps_per_epoch;
  int phase = 0;
  while (phase + 1 < std::ssize(options_.phases) &&
         options_.phases[static_cast<std::size_t>(phase) + 1].first_epoch <= epoch)
    ++phase;
  return phase;
}

// The step before which the quantizers of a phase were calibrated; 0 where it has none.
std::int64_t Population::calibrated_at(int phase) const {
  const auto& phases = options_.phases;
  auto i = static_cast<std::size_t>(phase);
  while (i > 0 && phases[i - 1].same_bits(phases[i])) --i;
  return phases[i].quantized ? phases[i].first_epoch * options_.steps_per_epoch : 0;
}

void Population::seek(std::int64_t step) {
  step_ = step;
  program_.reset();
  phase_ = step > 0 ? phase_at(step - 1) : -1;
}

// Steps begin anew with the bits: what the optimizer has gathered about the old ones goes.
void Population::calibrate_phase(const Phase& phase) {
  CalibrationGraph calibration = graphs_.calibration(phase);
  Program forward(std::move(calibration.graph), *store_, {});
  calibrate(forward, *store_, calibration.sites);
  for (const QuantizerSite& site : calibration.sites) store_->clear_slots(store_->find(site.parameter));
  release_freed_memory();
}

void Population::enter_phase() {
  const int next = phase_at(step_);
  if (program_ && next == phase_) return;
  program_.reset();  // its arena first: phases share the memory
  const Phase& phase = options_.phases[static_cast<std::size_t>(next)];
  if (phase.quantized && next != phase_ && calibrated_at(next) == step_) calibrate_phase(phase);
  phase_ = next;
  program_ = std::make_unique<Program>(
      graphs_.train(phase), *store_,
      ProgramOptions{.debug = options_.debug,
                     .capture = options_.capture,
                     .epilogue = [this](Recorder& recorder, std::span<const BoundNode> nodes) {
                       record_update(recorder, nodes);
                     }});
}

void Population::record_update(Recorder& recorder, std::span<const BoundNode> at_start) const {
  OptimizerArena arena;
  arena.weights = store_->weights();
  arena.gradients = store_->gradients();
  for (int k = 0; k < store_->slots(); ++k) arena.slots[static_cast<std::size_t>(k)] = store_->slot(k);
  arena.stride = store_->stride();
  arena.size = store_->trained();
  for (std::size_t p = 0; p < store_->table().size(); ++p) {
    const Role role = store_->table()[p].role;
    // Before calibration there are no steps: neither weight decay nor a moment may touch them.
    if (role == Role::kState || (role == Role::kStep && !phase().quantized)) continue;
    arena.segments.push_back(segment_of(*store_, static_cast<int>(p)));
  }
  for (const BoundNode& node : at_start) arena.code_outputs.push_back(code_output_of(arena, node));
  std::set<int> rules;
  for (const auto& r : replicas_) rules.insert(r.rule);
  arena.rules.assign(rules.begin(), rules.end());
  if (device_.kind() == DeviceKind::kCpu) {
    record_optimizer(recorder, arena);
  } else {
    cuda_plugin().registry->record_optimizer(recorder, arena);
  }
}

void Population::fill_params() {
  const auto epoch = step_ / options_.steps_per_epoch;
  for (std::size_t r = 0; r < replicas_.size(); ++r) {
    const ReplicaSettings& settings = replicas_[r];
    StepParams& p = params_[r];
    const double lr = scheduled_rate(settings.schedule, settings.lr, step_, options_.steps_per_epoch, total_steps());
    prepare_step(settings.rule, settings.optimizer, step_ + 1, lr, p, calibrated_at(phase_at(step_)));
    p.seed = settings.seed;
    p.epoch = static_cast<std::uint32_t>(epoch);
    p.first_sample = static_cast<std::uint32_t>(step_ % options_.steps_per_epoch) * options_.batch;
  }
  store_->upload_params(params_);
}

void Population::step() {
  fill_params();
  enter_phase();
  before_.clear();
  if (options_.health && phase().quantized && (step_ + 1) % options_.steps_per_epoch == 0) {
    for (int r = 0; r < store_->replicas(); ++r) before_.push_back(store_->download(store_->weights(), r));
  }
  program_->run();
  ++step_;
}

void Population::estimate_statistics(int batches) {
  GS_CHECK(static_cast<bool>(graphs_.statistics), "the network has no running statistics");
  program_.reset();  // its arena first
  StatisticsGraph statistics = graphs_.statistics(phase());
  Program forward(std::move(statistics.graph), *store_, {});
  average_statistics(forward, *store_, statistics.states, batches, [&](int batch) {
    std::vector<StepParams> params = params_;
    for (StepParams& p : params) {
      p.epoch = static_cast<std::uint32_t>(step_ / options_.steps_per_epoch);
      p.first_sample = static_cast<std::uint32_t>(batch) * options_.batch;
    }
    store_->upload_params(params);
  });
  store_->upload_params(params_);  // the last step's batch again, which health() looks at
}

std::vector<std::vector<SiteHealth>> Population::health() {
  const auto before = std::exchange(before_, {});
  if (before.empty() || !graphs_.health || !phase().quantized) return {};
  CalibrationGraph network = graphs_.health(phase());
  ProgramOptions once;
  once.capture = false;
  Program forward(std::move(network.graph), *store_, once);
  return measure_health(forward, *store_, network.sites, before);
}

std::string Population::fault_text(std::uint64_t first_fault) const {
  const auto node = static_cast<std::uint32_t>(first_fault);
  const auto step = static_cast<std::uint32_t>(first_fault >> 32);
  const bool named = program_ && node >= 1 && node <= program_->graph().nodes().size();
  const std::string where = named ? program_->graph().node(static_cast<NodeId>(node - 1)).name : "the optimizer";
  return fmt::format("not finite in {} at step {}", where, step);
}

}  // namespace gridstep
