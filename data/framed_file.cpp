#include "data/framed_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/error.h"

static_assert(std::endian::native == std::endian::little, "framed files are read and written as they lie in memory");

namespace gridstep {
namespace {

constexpr std::string_view kTailMagic("GSPKTAIL", 8);

struct Head {
  char magic[8];
  std::uint32_t version;
  std::uint8_t zeros[52];
};
struct Tail {
  char magic[8];
  std::uint64_t index_offset;
  std::uint64_t index_size;
  Digest128 digest;
  std::uint8_t zeros[24];
};
static_assert(sizeof(Head) == kFrameAlignment && sizeof(Tail) == kFrameAlignment);

}  // namespace

FramedWriter::FramedWriter(Sink sink, std::string_view magic, std::uint32_t version) : sink_(std::move(sink)) {
  Head head{};
  GS_CHECK(magic.size() == sizeof head.magic, "the magic of a framed file has 8 characters");
  std::copy(magic.begin(), magic.end(), head.magic);
  head.version = version;
  write(&head, sizeof head);
}

std::uint64_t FramedWriter::add(const void* data, std::size_t size) {
  align();
  const std::uint64_t offset = offset_;
  write(data, size);
  return offset;
}

void FramedWriter::extend(const void* data, std::size_t size) { write(data, size); }

void FramedWriter::finish(const nlohmann::ordered_json& index) {
  align();
  Tail tail{};
  std::copy(kTailMagic.begin(), kTailMagic.end(), tail.magic);
  tail.index_offset = offset_;
  // File names need not be UTF-8; what is not is replaced, since names in an index are for people.
  const std::string text = index.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  tail.index_size = text.size();
  write(text.data(), text.size());
  align();
  tail.digest = hasher_.digest();
  sink_(&tail, sizeof tail);
}

void FramedWriter::write(const void* data, std::size_t size) {
  sink_(data, size);
  hasher_.add(data, size);
  offset_ += size;
}

void FramedWriter::align() {
  static constexpr std::array<char, kFrameAlignment> kZeros{};
  write(kZeros.data(), static_cast<std::size_t>((kFrameAlignment - offset_ % kFrameAlignment) % kFrameAlignment));
}

Frame read_frame(std::span<const std::byte> file, std::string_view magic, std::uint32_t version) {
  Head head;
  Tail tail;
  if (file.size() < sizeof head + sizeof tail) fail<DataError>("only {} bytes long", file.size());
  std::memcpy(&head, file.data(), sizeof head);
  std::memcpy(&tail, file.data() + file.size() - sizeof tail, sizeof tail);
  if (std::string_view(head.magic, sizeof head.magic) != magic) fail<DataError>("does not begin as a pack does");
  if (head.version != version) fail<DataError>("version {}, this program reads {}", head.version, version);
  if (std::string_view(tail.magic, sizeof tail.magic) != kTailMagic) fail<DataError>("cut short");
  if (std::any_of(std::begin(tail.zeros), std::end(tail.zeros), [](std::uint8_t byte) { return byte != 0; }))
    fail<DataError>("the tail is damaged");
  const std::size_t body = file.size() - sizeof tail;
  if (hash128(file.data(), body) != tail.digest) fail<DataError>("the checksum does not match");
  if (tail.index_offset > body || tail.index_size > body - tail.index_offset) fail<DataError>("its index lies outside");
  const auto* text = reinterpret_cast<const char*>(file.data()) + tail.index_offset;
  return {file.first(tail.index_offset), {text, tail.index_size}, hex(tail.digest)};
}

void require_unchanged(FileWatch& watch, std::span<const std::byte> file, const std::string& digest) {
  if (!watch.was_written() || hex(hash128(file.data(), file.size() - sizeof(Tail))) == digest) return;
  fail<DataChanged>(
      "{} was changed while it was in use; --resume builds it again and continues from the last checkpoint",
      watch.path().string());
}

const std::byte* block_at(const Frame& frame, std::uint64_t offset, std::uint64_t size) {
  const bool inside = offset >= kFrameAlignment && offset % kFrameAlignment == 0 && offset <= frame.blocks.size() &&
                      size <= frame.blocks.size() - offset;
  if (!inside) fail<DataError>("an entry of its index points outside the pixels");
  return frame.blocks.data() + offset;
}

std::int64_t whole_number(const nlohmann::ordered_json& entry, std::int64_t lo, std::int64_t hi) {
  const bool fits =
      entry.is_number_unsigned() ? entry.get<std::uint64_t>() <= std::uint64_t{INT64_MAX} : entry.is_number_integer();
  const std::int64_t number = fits ? entry.get<std::int64_t>() : 0;
  if (!fits || number < lo || number > hi) {
    fail<DataError>("its index has {} where a whole number from {} to {} belongs",
                    entry.is_number() ? entry.dump() : entry.type_name(), lo, hi);
  }
  return number;
}

}  // namespace gridstep
