#include "apps/gridstep/resident_photos.h"

#include <algorithm>

#include "engine/base/error.h"

namespace gridstep {
namespace {

template <class T>
Buffer upload(Device& device, const std::vector<T>& values) {
  const auto bytes = static_cast<Bytes>(values.size() * sizeof(T));
  Buffer buffer(device, bytes);
  device.upload(buffer.data(), values.data(), bytes);
  return buffer;
}

}  // namespace

ResidentPhotos::ResidentPhotos(Device& device, const SrDataset& dataset, int patch) {
  std::vector<const SrPhoto*> usable;
  for (const SrPhoto& photo : dataset.photos()) {
    if (photo.lr.height >= patch && photo.lr.width >= patch) {
      usable.push_back(&photo);
    } else {
      ++left_out_;
    }
  }
  if (usable.empty()) {
    fail<DataError>(
        "none of the {} photos holds a patch of {}x{} low-resolution pixels; use larger photos or a smaller "
        "train.patch",
        dataset.photos().size(), patch, patch);
  }
  const bool mapped = device.kind() == DeviceKind::kCpu;
  const std::uint8_t* base = nullptr;
  std::uint64_t bytes = 0;
  if (mapped) {  // all views point into one mapping: its lowest address serves as the origin
    base = usable.front()->lr.pixels;
    for (const SrPhoto* p : usable) base = std::min({base, p->lr.pixels, p->hr.pixels});
  } else {
    for (const SrPhoto* p : usable) bytes += p->lr.size_bytes() + p->hr.size_bytes();
    pixels_ = Buffer(device, static_cast<Bytes>(bytes));
  }
  std::vector<PhotoEntry> entries;
  std::vector<std::uint64_t> areas;
  std::uint64_t at = 0, area = 0;
  const auto place = [&](const ImageView& image) {
    if (mapped) return static_cast<std::uint64_t>(image.pixels - base);
    device.upload(pixels_.data() + at, image.pixels, static_cast<Bytes>(image.size_bytes()));
    const std::uint64_t offset = at;
    at += image.size_bytes();
    return offset;
  };
  for (const SrPhoto* p : usable) {
    const std::uint64_t lr = place(p->lr), hr = place(p->hr);
    entries.push_back({lr, hr, p->lr.height, p->lr.width});
    area += static_cast<std::uint64_t>(p->lr.height) * static_cast<std::uint64_t>(p->lr.width);
    areas.push_back(area);
    patches_ += std::int64_t{p->lr.height / patch} * (p->lr.width / patch);
  }
  photos_ = upload(device, entries);
  areas_ = upload(device, areas);
  table_ = {mapped ? base : reinterpret_cast<const std::uint8_t*>(pixels_.data()),
            reinterpret_cast<const PhotoEntry*>(photos_.data()), reinterpret_cast<const std::uint64_t*>(areas_.data()),
            area, static_cast<std::int32_t>(entries.size())};
}

}  // namespace gridstep
