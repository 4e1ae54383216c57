// Populations and checkpoints: solo equals population, threads do not matter, resumed equals uninterrupted, divergence
// stays apart.
#include "engine/train/population.h"

#include <cmath>
#include <cstdlib>

#include "engine/train/checkpoint.h"
#include "tests/engine/train/toy_training.h"
#include "tests/support/compare.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Outcome {
  std::vector<std::vector<float>> weights;
  std::vector<ReplicaStatus> status;
};

Outcome trained(const ToyTraining& toy, std::vector<ReplicaSettings> replicas, int threads, PopulationOptions options,
                std::int64_t steps) {
  const auto device = make_cpu_device(threads);
  const int count = static_cast<int>(replicas.size());
  Population population(*device, toy.graphs(), std::move(replicas), options);
  population.initialise();
  for (std::int64_t i = 0; i < steps; ++i) population.step();
  Outcome outcome;
  for (int r = 0; r < count; ++r)
    outcome.weights.push_back(population.store().download(population.store().weights(), r));
  outcome.status = population.store().download_status();
  return outcome;
}

std::vector<ReplicaSettings> ten() {
  std::vector<ReplicaSettings> replicas;
  std::uint64_t seed = 1;
  for (const std::string& name : optimizer_names())
    replicas.push_back(ToyTraining::replica(name, seed++ % 3, name == "adadelta" ? 1.0 : 1e-3));
  return replicas;
}

}  // namespace

TEST_CASE("every optimizer's replica equals its solo run, on any number of threads", "[train]") {
  const ToyTraining toy;
  const auto replicas = ten();
  const Outcome together = trained(toy, replicas, 2, toy.options(), 5),
                four = trained(toy, replicas, 4, toy.options(), 5);
  for (std::size_t r = 0; r < replicas.size(); ++r) {
    INFO(optimizer_names()[r]);
    CHECK_SAME(compare_bits(four.weights[r], together.weights[r]));
    CHECK_SAME(compare_bits(trained(toy, {replicas[r]}, 1, toy.options(), 5).weights[0], together.weights[r]));
    CHECK(together.status[r].loss_count == 5);
    CHECK(together.status[r].first_fault == 0);
  }
}

TEST_CASE("codes written by the optimizer train as quantizing in every step does, bit for bit", "[train]") {
  for (const bool per_channel : {true, false}) {
    for (const std::int64_t float_epochs : {0, 1}) {
      const ToyTraining fused(4, true, per_channel), apart(4, false, per_channel);
      PopulationOptions options = fused.options();
      if (float_epochs == 1) options.phases = {{}, fused.quantized(1)};
      const auto replicas = ten();
      const Outcome a = trained(fused, replicas, 2, options, 6), b = trained(apart, replicas, 2, options, 6);
      for (std::size_t r = 0; r < replicas.size(); ++r) {
        INFO(optimizer_names()[r] << ", per channel " << per_channel << ", float epochs " << float_epochs);
        CHECK_SAME(compare_bits(a.weights[r], b.weights[r]));
        CHECK(a.status[r].loss_sum == b.status[r].loss_sum);
        CHECK(a.status[r].first_fault == b.status[r].first_fault);
      }
    }
  }
}

TEST_CASE("weights written from outside reach the codes", "[train]") {
  const auto run = [](bool is_fused) {
    const ToyTraining toy(4, is_fused);
    const auto device = make_cpu_device(2);
    Population population(*device, toy.graphs(), {ToyTraining::replica("adam", 1, 1e-3)}, toy.options());
    population.initialise();
    for (int i = 0; i < 2; ++i) population.step();
    auto weights = population.store().download(population.store().weights(), 0);
    const Index begin = population.store().offset(population.store().find("conv1.weight"));
    for (Index i = 0; i < 100; ++i) weights[static_cast<std::size_t>(begin + i)] *= -1.0f;
    population.store().upload(population.store().weights(), 0, weights);
    for (int i = 0; i < 2; ++i) population.step();
    return population.store().download(population.store().weights(), 0);
  };
  CHECK_SAME(compare_bits(run(true), run(false)));
}

TEST_CASE("training lowers the loss", "[train]") {
  const ToyTraining toy;
  const auto mean_loss = [&](std::int64_t steps) {
    const Outcome o = trained(toy, {ToyTraining::replica("adam", 1, 3e-3)}, 2, toy.options(20), steps);
    return o.status[0].loss_sum / static_cast<double>(o.status[0].loss_count);
  };
  CHECK(mean_loss(60) < 0.7 * mean_loss(1));
}

TEST_CASE("a diverging replica leaves its neighbours untouched", "[train]") {
  const ToyTraining toy;
  const auto calm = ToyTraining::replica("adam", 1, 1e-3), wild = ToyTraining::replica("sgd", 2, 1e30);
  const Outcome together = trained(toy, {wild, calm, wild}, 2, toy.options(), 6);
  CHECK_SAME(compare_bits(together.weights[1], trained(toy, {calm}, 1, toy.options(), 6).weights[0]));
  CHECK(together.status[1].first_fault == 0);
  CHECK(together.status[0].first_fault != 0);
  CHECK(together.status[0].first_fault == together.status[2].first_fault);
}

TEST_CASE("a NaN or infinity in any tensor of one replica of eight is found, and the others keep their bits",
          "[train]") {
  const ToyTraining toy;
  std::vector<ReplicaSettings> eight;
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    eight.push_back(ToyTraining::replica(seed % 2 == 0 ? "sgd" : "adam", seed, 1e-3));
  constexpr std::size_t kPoisoned = 3;
  const auto device = make_cpu_device(2);
  for (const std::int64_t float_epochs : {0, 1}) {
    PopulationOptions options = toy.options();
    if (float_epochs == 1) options.phases = {{}, toy.quantized(1)};
    const std::int64_t before = float_epochs > 0 ? options.steps_per_epoch : 1;  // the very steps before calibration
    const Outcome wanted = trained(toy, eight, 2, options, before + 2);
    const auto poison = [&](std::size_t p, float value) {
      Population population(*device, toy.graphs(), eight, options);
      ParameterStore& store = population.store();
      INFO(store.table()[p].name << " with " << value << ", float epochs " << float_epochs);
      population.initialise();
      for (std::int64_t i = 0; i < before; ++i) population.step();
      std::vector<float> weights = store.download(store.weights(), kPoisoned);
      weights[static_cast<std::size_t>(store.offset(static_cast<int>(p)))] = value;
      store.upload(store.weights(), kPoisoned, weights);
      for (int i = 0; i < 2; ++i) population.step();
      const auto status = store.download_status();
      for (std::size_t r = 0; r < eight.size(); ++r) {
        if (r == kPoisoned) continue;
        CHECK(status[r].first_fault == 0);
        CHECK_SAME(compare_bits(store.download(store.weights(), static_cast<int>(r)), wanted.weights[r]));
      }
      const std::string fault = population.fault_text(status[kPoisoned].first_fault);
      // A calibrated step only bounds the trained one, which is read in the step after.
      const bool bounds = store.table()[p].name.ends_with("_step0") && !std::isnan(value);
      CHECK_THAT(fault, Catch::Matchers::Contains(fmt::format(" at step {}", before + (bounds ? 2 : 1))));
    };
    Population sample(*device, toy.graphs(), {eight[0]}, options);
    const std::vector<ParameterInfo>& table = sample.store().table();
    for (std::size_t p = 0; p < table.size(); ++p) {
      const bool of_quantizer = table[p].role == Role::kStep || table[p].role == Role::kState;
      if (float_epochs > 0 && of_quantizer) continue;  // calibration sets them afterwards
      for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) poison(p, value);
    }
  }
}

TEST_CASE("a float warm-up trains without quantizers, then calibrates", "[train]") {
  const ToyTraining toy(4);
  PopulationOptions options = toy.options(3);
  options.phases = {{}, toy.quantized(1)};
  const auto device = make_cpu_device(2);
  Population population(*device, toy.graphs(),
                        {ToyTraining::replica("adam", 1, 1e-3), ToyTraining::replica("sgd", 2, 1e-2)}, options);
  population.initialise();
  const int step0 = population.store().find("conv2.input_step0");
  REQUIRE(step0 >= 0);
  for (int i = 0; i < 3; ++i) {
    population.step();
    CHECK_FALSE(population.phase().quantized);
    CHECK(*population.store().weight(step0).at<float>(0) == 1.0f);
  }
  CHECK(population.at_epoch_end());
  population.step();
  CHECK(population.phase().quantized);
  for (int r = 0; r < 2; ++r) CHECK(*population.store().weight(step0).at<float>(r) != 1.0f);
}

TEST_CASE("a float warm-up leaves steps and their moments alone", "[train]") {
  const ToyTraining toy;
  PopulationOptions options = toy.options(2);
  options.phases = {{}, toy.quantized(1)};
  ReplicaSettings decaying = ToyTraining::replica("adam", 1, 1e-3);
  decaying.optimizer = resolve_settings(decaying.rule, {{"step_weight_decay", 0.5}});
  const auto device = make_cpu_device(2);
  Population population(*device, toy.graphs(), {decaying}, options);
  population.initialise();
  ParameterStore& store = population.store();
  const std::vector<float> fresh = store.download(store.weights(), 0);
  for (int i = 0; i < 3; ++i) population.step();
  const std::vector<float> weights = store.download(store.weights(), 0), moments = store.download(store.slot(0), 0);
  for (std::size_t p = 0; p < store.table().size(); ++p) {
    if (store.table()[p].role != Role::kStep) continue;
    const auto at = static_cast<std::size_t>(store.offset(static_cast<int>(p)));
    INFO(store.table()[p].name);
    CHECK(weights[at] == fresh[at]);
    CHECK(moments[at] == 0.0f);
  }
}

// The step's parameters and everything that the optimizer keeps about them.
static std::vector<float> step_state(Population& population, const char* name) {
  ParameterStore& store = population.store();
  const auto at = static_cast<std::size_t>(store.offset(store.find(name)));
  std::vector<float> state = {store.download(store.weights(), 0)[at]};
  for (int k = 0; k < store.slots(); ++k) state.push_back(store.download(store.slot(k), 0)[at]);
  return state;
}

TEST_CASE("falling bits: steps are calibrated anew where bits change, and only there", "[train]") {
  const ToyTraining toy(2);
  PopulationOptions options = toy.options(4);
  Phase frozen = toy.quantized(3);
  frozen.frozen_norm = true;  // another phase, not other bits
  options.phases = {{0, true, 8, 8}, {1, true, 4, 4}, toy.quantized(2), frozen};
  const auto device = make_cpu_device(2);
  Population population(*device, toy.graphs(), {ToyTraining::replica("adam", 1, 1e-3)}, options);
  population.initialise();
  ParameterStore& store = population.store();
  const int step0 = store.find("conv2.weight_step0");
  std::vector<float> calibrated;
  for (int i = 0; i < 12; ++i) {
    population.step();
    calibrated.push_back(*store.weight(step0).at<float>(0));
    CHECK(population.has_final_bits() == (i >= 6));
    // Adam's first update after a calibration is the rate times its sign: its moments began anew.
    const auto state = step_state(population, "conv2.input_step");
    if (i % 3 == 0 && i < 9) {
      const float start = std::log(*store.weight(store.find("conv2.input_step0")).at<float>(0));
      CHECK(std::abs(state[0] - start) == Approx(1e-2).epsilon(1e-2));
    }
  }
  for (std::size_t i = 1; i < calibrated.size(); ++i) {
    CAPTURE(i);
    CHECK((calibrated[i] == calibrated[i - 1]) == !(i == 3 || i == 6));
  }
}

TEST_CASE("falling bits resume to the same bits, at a change and between", "[train]") {
  const ToyTraining toy(2);
  PopulationOptions options = toy.options(3);
  options.phases = {{}, {1, true, 8, 4}, toy.quantized(2)};
  const auto replicas = ten();
  const Outcome whole = trained(toy, replicas, 1, options, 9);
  for (const std::int64_t stop : {3, 4, 6}) {
    const auto device = make_cpu_device(2);
    Population first(*device, toy.graphs(), replicas, options), second(*device, toy.graphs(), replicas, options);
    first.initialise();
    for (std::int64_t i = 0; i < stop; ++i) first.step();
    for (int r = 0; r < static_cast<int>(replicas.size()); ++r) {
      second.store().upload(second.store().weights(), r, first.store().download(first.store().weights(), r));
      for (int k = 0; k < first.store().slots(); ++k)
        second.store().upload(second.store().slot(k), r, first.store().download(first.store().slot(k), r));
    }
    second.store().upload_status(first.store().download_status());
    second.seek(stop);
    for (std::int64_t i = stop; i < 9; ++i) second.step();
    for (std::size_t r = 0; r < replicas.size(); ++r) {
      INFO("stopped at " << stop << ", " << optimizer_names()[r]);
      const auto weights = second.store().download(second.store().weights(), static_cast<int>(r));
      CHECK_SAME(compare_bits(weights, whole.weights[r]));
    }
  }
}

TEST_CASE("health tells clipped, unused and dead from what works, and changes nothing", "[train]") {
  const ToyTraining toy(4);
  PopulationOptions options = toy.options(2);
  options.health = true;
  const auto device = make_cpu_device(2);
  Population population(*device, toy.graphs(), {ToyTraining::replica("sgd", 1, 1e-3)}, options);
  population.initialise();
  for (int i = 0; i < 2; ++i) population.step();
  CHECK(population.health().empty());  // within an epoch
  ParameterStore& store = population.store();
  std::vector<float> weights = store.download(store.weights(), 0);
  const auto at = [&](const char* name) { return static_cast<std::size_t>(store.offset(store.find(name))); };
  const std::size_t filter = 32 * 3 * 3;
  std::fill_n(weights.begin() + static_cast<std::ptrdiff_t>(at("conv3.weight")), filter, 0.0f);  // filter 0: dead
  weights[at("conv3.weight_step") + 1] -= 20.0f;  // log form: filter 1 has a step far too small
  weights[at("conv2.input_step")] += 20.0f;       // and conv2's input one far too large
  store.upload(store.weights(), 0, weights);
  population.step();
  const std::vector<float> before = store.download(store.weights(), 0);
  const auto health = population.health();
  CHECK_SAME(compare_bits(store.download(store.weights(), 0), before));
  REQUIRE(health.size() == 1);
  const auto site = [&](const std::string& name) {
    const auto it = std::find_if(health[0].begin(), health[0].end(), [&](const auto& h) { return h.name == name; });
    REQUIRE(it != health[0].end());
    return *it;
  };
  CHECK(health[0].size() == 5);  // conv1 reads pixels
  CHECK(site("conv3.weight").dead_channels == 1);
  CHECK(site("conv3.weight").clipped == Approx(1.0 / 12).epsilon(0.05));
  CHECK(site("conv3.weight").is_weight);
  CHECK(site("conv2.input").dead_channels == 64);
  CHECK(site("conv2.input").codes_used == Approx(1.0 / 16));
  CHECK(site("conv2.input").clipped == 0.0);
  CHECK(site("conv2.weight").dead_channels == 0);
  CHECK(site("conv2.weight").codes_used > 0.8);
  CHECK(site("conv1.weight").update > 0.0);
  CHECK(site("conv1.weight").update < 0.1);
  CHECK(site("conv1.weight").step_update > 0.0);
  CHECK(site("conv3.input").update == 0.0);
}

TEST_CASE("resumed training equals uninterrupted training bit for bit", "[train]") {
  const test::TemporaryFolder folder;
  const ToyTraining toy;
  const auto replicas = ten();
  const auto device = make_cpu_device(2);
  {
    Population first(*device, toy.graphs(), replicas, toy.options());
    first.initialise();
    for (int i = 0; i < 4; ++i) first.step();
    const auto status = first.store().download_status();
    for (std::size_t r = 0; r < replicas.size(); ++r) {
      save_checkpoint(folder / std::to_string(r), first.store(), static_cast<int>(r),
                      slots_in_use(replicas[r].rule, replicas[r].optimizer), {4, status[r], {{"note", "x"}}});
    }
  }
  Population second(*device, toy.graphs(), replicas, toy.options());
  std::vector<ReplicaStatus> status;
  for (std::size_t r = 0; r < replicas.size(); ++r) {
    const SafetensorsFile file(folder / std::to_string(r));
    const CheckpointState state = load_checkpoint(file, second.store(), static_cast<int>(r),
                                                  slots_in_use(replicas[r].rule, replicas[r].optimizer));
    CHECK(state.step == 4);
    CHECK(state.extra.at("note") == "x");
    status.push_back(state.status);
    const ArrayView* w = file.find("conv1.weight");
    REQUIRE(w != nullptr);
    CHECK(w->shape == std::vector<Index>{64, 3, 5, 5});  // PyTorch's order
  }
  second.store().upload_status(status);
  second.seek(4);
  for (int i = 4; i < 6; ++i) second.step();
  const Outcome whole = trained(toy, replicas, 1, toy.options(), 6);
  const auto resumed_status = second.store().download_status();
  for (std::size_t r = 0; r < replicas.size(); ++r) {
    INFO(optimizer_names()[r]);
    CHECK_SAME(compare_bits(second.store().download(second.store().weights(), static_cast<int>(r)), whole.weights[r]));
    CHECK(resumed_status[r].loss_sum == whole.status[r].loss_sum);
    CHECK(resumed_status[r].clippable == whole.status[r].clippable);
  }
}

TEST_CASE("a checkpoint of another network is refused by name", "[train]") {
  const test::TemporaryFolder folder;
  const auto device = make_cpu_device(1);
  ParameterStore small(*device, {{.name = "w", .shape = {2, 3}}, {.name = "b", .shape = {2}, .role = Role::kBias}}, 1,
                       1, true);
  small.initialise({1});
  save_checkpoint(folder / "small", small, 0, 1, {});
  const SafetensorsFile file(folder / "small");
  ParameterStore shape(*device, {{.name = "w", .shape = {3, 2}}}, 1, 1, true),
      name(*device, {{.name = "v", .shape = {2, 3}}}, 1, 1, true);
  CHECK_THROWS_AS(load_checkpoint(file, shape, 0, 1), DataError);
  CHECK_THROWS_WITH(load_checkpoint(file, shape, 0, 1), Catch::Matchers::Contains("'w'"));
  CHECK_THROWS_WITH(load_checkpoint(file, name, 0, 1), Catch::Matchers::Contains("'v'"));
  CHECK_NOTHROW(load_checkpoint(file, small, 0, 1));
  // Of another optimizer.
  ParameterStore slots(*device, small.table(), 1, 2, true);
  CHECK_THROWS_AS(load_checkpoint(file, slots, 0, 2), DataError);
  CHECK_THROWS_WITH(load_checkpoint(file, small, 0, 2), Catch::Matchers::Contains("no slot 1"));
}
