// Checkpoints, what lies above safetensors: metadata, the stored layout, the start from another network's weights. As
// they are, and with the right checksum.
#include <algorithm>
#include <cmath>

#include "apps/gridstep/cell_checkpoints.h"
#include "engine/base/error.h"
#include "engine/study/definition.h"
#include "engine/train/checkpoint.h"
#include "engine/train/import_weights.h"
#include "tests/fuzz/safetensors_forms.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/toy_network.h"

namespace gridstep::fuzz {
namespace {

constexpr int kSlots = 1;

ParameterStore& toy_store() {
  static const std::unique_ptr<Device> device = make_cpu_device(1);
  static ParameterStore store(*device, toy_table(), 1, kSlots, false);
  return store;
}

std::vector<std::vector<float>> arrays_of(const ParameterStore& store) {
  return {store.download(store.weights(), 0), store.download(store.slot(0), 0)};
}

bool are_same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

bool are_same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) { return are_same(x, y); });
}

// What a checkpoint brought is what a checkpoint of it brings.
void check_again(const CheckpointState& state) {
  ParameterStore& store = toy_store();
  const auto before = arrays_of(store);
  const fs::path path = scratch() / "again.safetensors";
  save_checkpoint(path, store, 0, kSlots, state);
  const CheckpointState again = load_checkpoint(SafetensorsFile(path), store, 0, kSlots);
  const auto after = arrays_of(store);
  require(are_same(before[0], after[0]) && are_same(before[1], after[1]), "a checkpoint keeps weights and slots");
  const ReplicaStatus &a = state.status, &b = again.status;
  require(state.step == again.step && a.first_fault == b.first_fault && a.inexact == b.inexact &&
              a.clipped == b.clipped && a.clippable == b.clippable && a.loss_count == b.loss_count &&
              (a.loss_sum == b.loss_sum || std::isnan(a.loss_sum)),
          "a checkpoint keeps the progress");
  for (const auto& [key, value] : state.extra)
    require(key == kChecksumKey || again.extra.at(key) == value, "a checkpoint keeps what was added");
}

void check_file(const fs::path& path) {
  accepts<DataError>([&] {
    const SafetensorsFile file(path);
    accepts<DataError>([&] { import_weights(file, toy_store(), 0); });
    accepts<DataError>([&] { check_again(load_checkpoint(file, toy_store(), 0, kSlots)); });
    accepts<DataError>([&] { read_record(file); });
    const CheckpointState state = read_state(file);
    require(state.step >= 0, "steps are counted from 0");
    accepts<ConfigError>([&] { parse_study(file.metadata("config"), "config"); });
  });
}

}  // namespace
}  // namespace gridstep::fuzz

GS_FUZZ_TARGET(checkpoint) {
  using namespace gridstep;
  using namespace gridstep::fuzz;
  const fs::path given = put("given.safetensors", text_of(input));
  check_file(given);
  const fs::path open = put("open.safetensors", without_checksum(std::string(text_of(input))));
  accepts<DataError>([&] {
    const fs::path summed = scratch() / "summed.safetensors";
    const SafetensorsFile file(open);
    write_safetensors(summed, file.arrays(), file.metadata());
    check_file(summed);
  });
}
