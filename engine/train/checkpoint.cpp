#include "engine/train/checkpoint.h"

#include <charconv>
#include <cstdlib>

#include "engine/base/error.h"
#include "engine/train/stored_layout.h"

namespace gridstep {
namespace {

constexpr const char* kFormat = "gridstep-checkpoint-2";

std::string slot_name(int slot, const std::string& parameter) {
  return fmt::format("{}{}.{}", kOptimizerPrefix, slot, parameter);
}

void insert(const ParameterStore& store, std::size_t p, const ArrayView& array, std::vector<float>& flat,
            const fs::path& path) {
  const ParameterInfo& info = store.table()[p];
  if (!array.holds(DType::kF32) || array.shape != stored_shape(info.shape)) {
    fail<DataError>("{}: '{}' is {} ({}), the network wants F32 ({})", path.string(), array.name, array.type(),
                    fmt::join(array.shape, ", "), fmt::join(stored_shape(info.shape), ", "));
  }
  from_stored(info.shape, floats_of(array, path), flat.data() + store.offset(static_cast<int>(p)));
}

[[noreturn]] void fail_number(const SafetensorsFile& file, const std::string& key) {
  fail<DataError>("{}: metadata entry '{}' is not a number that can stand there: '{}'", file.path().string(), key,
                  file.metadata(key));
}

template <class T>
T whole_number(const SafetensorsFile& file, const std::string& key) {
  const std::string& text = file.metadata(key);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < T{0}) fail_number(file, key);
  return value;
}

double real_number(const SafetensorsFile& file, const std::string& key) {
  const std::string& text = file.metadata(key);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || end != text.c_str() + text.size()) fail_number(file, key);
  return value;
}

}  // namespace

void save_checkpoint(const fs::path& path, const ParameterStore& store, int replica, int slots,
                     const CheckpointState& state) {
  struct Named {
    std::string name;
    std::size_t parameter;
    std::vector<float> values;
  };
  std::vector<Named> tensors;
  for (int s = -1; s < slots; ++s) {
    const std::vector<float> flat = store.download(s < 0 ? store.weights() : store.slot(s), replica);
    for (std::size_t p = 0; p < store.table().size(); ++p) {
      const ParameterInfo& info = store.table()[p];
      if (s >= 0 && info.role == Role::kState) continue;
      tensors.push_back({s < 0 ? info.name : slot_name(s, info.name), p,
                         to_stored(info.shape, flat.data() + store.offset(static_cast<int>(p)))});
    }
  }
  std::vector<ArrayView> arrays;
  arrays.reserve(tensors.size());
  for (const Named& t : tensors) {
    arrays.push_back(
        {t.name, DType::kF32, stored_shape(store.table()[t.parameter].shape), std::as_bytes(std::span(t.values))});
  }
  auto metadata = state.extra;
  metadata["format"] = kFormat;
  metadata["step"] = std::to_string(state.step);
  metadata["first_fault"] = std::to_string(state.status.first_fault);
  metadata["inexact"] = std::to_string(state.status.inexact);
  metadata["clipped"] = std::to_string(state.status.clipped);
  metadata["clippable"] = std::to_string(state.status.clippable);
  metadata["loss_sum"] = fmt::format("{:a}", state.status.loss_sum);
  metadata["loss_count"] = std::to_string(state.status.loss_count);
  write_safetensors(path, arrays, metadata);
}

CheckpointState read_state(const SafetensorsFile& file) {
  if (file.metadata("format") != kFormat)
    fail<DataError>("{} has format '{}', wanted {}", file.path().string(), file.metadata("format"), kFormat);
  file.metadata(kChecksumKey);  // that it holds was seen when the file was opened
  CheckpointState state;
  state.step = whole_number<std::int64_t>(file, "step");
  state.status.first_fault = whole_number<std::uint64_t>(file, "first_fault");
  state.status.inexact = whole_number<std::uint64_t>(file, "inexact");
  state.status.clipped = whole_number<std::uint64_t>(file, "clipped");
  state.status.clippable = whole_number<std::uint64_t>(file, "clippable");
  state.status.loss_sum = real_number(file, "loss_sum");
  state.status.loss_count = whole_number<std::uint64_t>(file, "loss_count");
  state.extra = file.metadata();
  return state;
}

CheckpointState load_checkpoint(const SafetensorsFile& file, ParameterStore& store, int replica, int slots) {
  CheckpointState state = read_state(file);
  for (int s = -1; s < slots; ++s) {
    float* const array = s < 0 ? store.weights() : store.slot(s);
    std::vector<float> flat(static_cast<std::size_t>(store.stride()), 0.0f);
    for (std::size_t p = 0; p < store.table().size(); ++p) {
      const ParameterInfo& info = store.table()[p];
      if (s >= 0 && info.role == Role::kState) continue;
      const std::string name = s < 0 ? info.name : slot_name(s, info.name);
      const ArrayView* tensor = file.find(name);
      if (tensor == nullptr) fail<DataError>("{} holds no '{}'", file.path().string(), name);
      insert(store, p, *tensor, flat, file.path());
    }
    store.upload(array, replica, flat);
  }
  return state;
}

}  // namespace gridstep
