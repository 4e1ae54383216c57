// Packs of both kinds, and the framed file below them: as they are; with the right checksum; and with the bytes as the
// index of a pack that is right otherwise.
#include <cstring>
#include <numeric>

#include "data/framed_file.h"
#include "data/labelled_pack.h"
#include "data/pack.h"
#include "engine/base/error.h"
#include "tests/fuzz/target.h"

namespace gridstep::fuzz {
namespace {

constexpr std::string_view kPhotos("GSPACK\r\n", 8), kLabelled("GSLABEL\n", 8);
constexpr std::size_t kTail = 64, kDigestAt = 24;  // of the tail (data/framed_file.h)

std::string with_right_checksum(std::string file) {
  if (file.size() < kTail) return file;
  const Digest128 digest = hash128(file.data(), file.size() - kTail);
  std::memcpy(file.data() + file.size() - kTail + kDigestAt, digest.data(), digest.size());
  return file;
}

std::string little_endian(std::uint64_t v) {
  std::string bytes(sizeof v, '\0');
  std::memcpy(bytes.data(), &v, sizeof v);
  return bytes;
}

std::string framed(std::string_view magic, std::string_view index) {
  std::string file = std::string(magic) + '\1';  // version 1
  file.resize(kFrameAlignment + 1024);           // zeros; blocks of 1024 bytes
  const std::uint64_t at = file.size();
  file += index;
  return with_right_checksum(file + "GSPKTAIL" + little_endian(at) + little_endian(index.size()) + std::string(40, 0));
}

unsigned sum(std::span<const std::uint8_t> bytes) { return std::accumulate(bytes.begin(), bytes.end(), 0u); }

// All that a pack shows can be read: behind its end there would be a fault, or the sizes would exceed the file's.
void check_photos(const Pack& pack, std::size_t file_bytes) {
  for (const SrPhoto& photo : pack.photos()) {
    require(photo.lr.size_bytes() <= file_bytes && photo.hr.size_bytes() <= file_bytes, "photos lie in the file");
    require(photo.hr.height / photo.lr.height == pack.meta().scale, "sizes fit the scale");
    require(sum(photo.lr.bytes()) + sum(photo.hr.bytes()) < 0xffffffffu, "photos can be read");
  }
}

void check_images(LabelledImages images, std::size_t file_bytes) {
  require(images.bytes() <= file_bytes, "images lie in the file");
  const LabelledDataset data(std::move(images));
  require(data.majority_rate() > 0 && data.majority_rate() <= 1, "the majority is a share");
  require(data.count() > 0 && data.digest().size() == 32 && !data.description().empty(), "a data set has images");
  for (std::int64_t i = 0; i < data.count(); ++i) require(sum(data.image(i).bytes()) < 0xffffffffu, "they can be read");
}

void check_frame(std::string_view file, std::string_view magic) {
  accepts<DataError>([&] {
    const Frame frame = read_frame(bytes_of(file), magic, 1);
    require(frame.index.size() <= file.size() && frame.blocks.size() <= file.size(), "the parts lie in the file");
    for (std::uint64_t offset = kFrameAlignment; offset + 1 <= frame.blocks.size(); offset += kFrameAlignment)
      require(block_at(frame, offset, 1) == frame.blocks.data() + offset, "a block lies where it is said to");
  });
}

void check_file(std::string_view file) {
  for (const std::string_view magic : {kPhotos, kLabelled}) check_frame(file, magic);
  const fs::path path = put("a.pack", file);
  accepts<DataError>([&] { check_photos(Pack(path), file.size()); });
  accepts<DataError>([&] { check_images(read_labelled_pack(path), file.size()); });
}

}  // namespace
}  // namespace gridstep::fuzz

GS_FUZZ_TARGET(pack) {
  using namespace gridstep::fuzz;
  const std::string_view text = text_of(input);
  if (text.starts_with("GS")) {
    check_file(text);
    check_file(with_right_checksum(std::string(text)));
  } else {
    check_file(framed(kPhotos, text));
    check_file(framed(kLabelled, text));
  }
}
