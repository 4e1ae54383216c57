#include "engine/device/device.h"

#include <utility>

namespace gridstep {
namespace {

class EagerReplay final : public Replay {
 public:
  EagerReplay(Device& device, std::vector<Launch> launches, int replicas, Bytes scratch_bytes)
      : device_(device), launches_(std::move(launches)), replicas_(replicas), scratch_bytes_(scratch_bytes) {}
  void run() override { device_.run(launches_, replicas_, scratch_bytes_); }

 private:
  Device& device_;
  std::vector<Launch> launches_;
  int replicas_;
  Bytes scratch_bytes_;
};

}  // namespace

std::unique_ptr<Replay> Device::prepare(std::vector<Launch> launches, int replicas, Bytes scratch_bytes, bool) {
  return std::make_unique<EagerReplay>(*this, std::move(launches), replicas, scratch_bytes);
}

std::string_view name_of(DeviceKind kind) { return kind == DeviceKind::kCpu ? "cpu" : "cuda"; }

Buffer::Buffer(Device& device, Bytes size) : device_(&device), data_(device.allocate(size)), size_(size) {}

Buffer::~Buffer() {
  if (data_ != nullptr) device_->release(data_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : device_(other.device_), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace gridstep
