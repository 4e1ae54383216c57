#include "apps/gridstep/resident_images.h"

namespace gridstep {

ResidentImages::ResidentImages(Device& device, const LabelledDataset& dataset) {
  table_ = {dataset.pixels(), dataset.labels().data(), static_cast<std::uint32_t>(dataset.count()), dataset.side()};
  if (device.kind() == DeviceKind::kCpu) return;
  const Bytes pixel_bytes = dataset.count() * 3 * dataset.side() * dataset.side();
  const Bytes label_bytes = dataset.count() * static_cast<Bytes>(sizeof(std::int32_t));
  pixels_ = Buffer(device, pixel_bytes);
  labels_ = Buffer(device, label_bytes);
  device.upload(pixels_.data(), dataset.pixels(), pixel_bytes);
  device.upload(labels_.data(), dataset.labels().data(), label_bytes);
  table_.pixels = reinterpret_cast<const std::uint8_t*>(pixels_.data());
  table_.labels = reinterpret_cast<const std::int32_t*>(labels_.data());
}

}  // namespace gridstep
