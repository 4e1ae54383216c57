#include "engine/device/device.h"

#include <utility>

namespace gridstep {

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
