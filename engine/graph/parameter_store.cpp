#include "engine/graph/parameter_store.h"

#include <cmath>
#include <numbers>

#include "engine/base/philox.h"

namespace gridstep {
namespace {

constexpr Index kFloatsPerLine = kAlignment / static_cast<Bytes>(sizeof(float));

Bytes float_bytes(Index n) { return n * static_cast<Bytes>(sizeof(float)); }

Buffer zeroed(Device& device, Bytes size) {
  Buffer b(device, size);
  device.fill(b.data(), 0, size);
  return b;
}

// Standard normal number `i` of a stream. Computed on the host only, in double; libm's log, cos and sin are the only
// non-elementary functions in the product's numbers, and they are part of "library versions" of promise 4.
double normal(const PhiloxKey& key, std::uint64_t i) {
  const Philox4 bits = philox(key, i / 2);
  const std::uint32_t a = bits.v[0], b = bits.v[1];
  const double u = (static_cast<double>(a) + 0.5) / 4294967296.0;
  const double angle = 2.0 * std::numbers::pi * static_cast<double>(b) / 4294967296.0;
  const double radius = std::sqrt(-2.0 * std::log(u));
  return i % 2 == 0 ? radius * std::cos(angle) : radius * std::sin(angle);
}

// FNV-1a of a parameter's name: initial weights depend on the seed and the name, not on what else the network has
// (quantizers, say).
std::uint32_t name_key(std::string_view name) {
  std::uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

}  // namespace

ParameterStore::ParameterStore(Device& device, std::vector<ParameterInfo> table, int replicas, int slots,
                               bool gradients)
    : device_(device), table_(std::move(table)), offsets_(table_.size()), replicas_(replicas) {
  for (const bool state : {false, true}) {
    for (std::size_t i = 0; i < table_.size(); ++i) {
      if ((table_[i].role == Role::kState) != state) continue;
      offsets_[i] = stride_;
      stride_ = align_up(stride_ + table_[i].shape.elements(), kFloatsPerLine);  // every tensor starts on its own line
    }
    if (!state) trained_ = stride_;
  }
  const Bytes array = float_bytes(stride_ * replicas_);
  weights_ = zeroed(device, array);
  if (gradients) gradients_ = zeroed(device, array);
  for (int k = 0; k < slots; ++k) slots_.push_back(zeroed(device, array));
  params_ = zeroed(device, static_cast<Bytes>(sizeof(StepParams)) * replicas_);
  status_ = zeroed(device, static_cast<Bytes>(sizeof(ReplicaStatus)) * replicas_);
}

int ParameterStore::find(std::string_view name) const {
  for (std::size_t i = 0; i < table_.size(); ++i) {
    if (table_[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

Tensor ParameterStore::weight(int parameter) const {
  const auto i = static_cast<std::size_t>(parameter);
  return {weights_.data() + float_bytes(offsets_[i]), table_[i].shape, DType::kF32, float_bytes(stride_)};
}

Tensor ParameterStore::gradient(int parameter) const {
  const auto i = static_cast<std::size_t>(parameter);
  GS_CHECK(gradients_.data() != nullptr, "gradient of '{}' asked for, but the program does not train", table_[i].name);
  return {gradients_.data() + float_bytes(offsets_[i]), table_[i].shape, DType::kF32, float_bytes(stride_)};
}

std::vector<float> ParameterStore::download(const float* array, int replica) const {
  std::vector<float> values(static_cast<std::size_t>(stride_));
  device_.download(values.data(), reinterpret_cast<const std::byte*>(array + stride_ * replica), float_bytes(stride_));
  return values;
}

void ParameterStore::upload(float* array, int replica, const std::vector<float>& values) {
  GS_CHECK(static_cast<Index>(values.size()) == stride_, "{} floats for a replica of {}", values.size(), stride_);
  device_.upload(reinterpret_cast<std::byte*>(array + stride_ * replica), values.data(), float_bytes(stride_));
  note_change();
}

void ParameterStore::clear_slots(int parameter) {
  const Bytes size = float_bytes(table_[static_cast<std::size_t>(parameter)].shape.elements());
  for (const Buffer& array : slots_) {
    for (int r = 0; r < replicas_; ++r)
      device_.fill(array.data() + float_bytes(stride_ * r + offset(parameter)), 0, size);
  }
}

std::vector<ReplicaStatus> ParameterStore::download_status() const {
  std::vector<ReplicaStatus> status(static_cast<std::size_t>(replicas_));
  device_.download(status.data(), status_.data(), static_cast<Bytes>(sizeof(ReplicaStatus)) * replicas_);
  return status;
}

void ParameterStore::upload_status(const std::vector<ReplicaStatus>& status) {
  device_.upload(status_.data(), status.data(), static_cast<Bytes>(sizeof(ReplicaStatus)) * replicas_);
}

void ParameterStore::upload_params(const std::vector<StepParams>& params) {
  device_.upload(params_.data(), params.data(), static_cast<Bytes>(sizeof(StepParams)) * replicas_);
}

void ParameterStore::initialise(const std::vector<std::uint64_t>& seeds) {
  for (int r = 0; r < replicas_; ++r) {
    std::vector<float> values(static_cast<std::size_t>(stride_), 0.0f);
    for (std::size_t p = 0; p < table_.size(); ++p) {
      const ParameterInfo& info = table_[p];
      const PhiloxKey key{seeds[static_cast<std::size_t>(r)], Purpose::kInit, name_key(info.name)};
      for (Index i = 0; i < info.shape.elements(); ++i) {
        const double v =
            info.init_std > 0.0f ? info.init_std * normal(key, static_cast<std::uint64_t>(i)) : info.init_value;
        values[static_cast<std::size_t>(offsets_[p] + i)] = static_cast<float>(v);
      }
    }
    upload(weights(), r, values);
  }
}

}  // namespace gridstep
