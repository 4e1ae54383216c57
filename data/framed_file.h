// A checked container: blocks of bytes, an index after them, a checksum of it all. Made to be written in one pass and
// to be mapped.
//
//   offset 0    head, 64 bytes: magic (8), u32 version, zeros
//   offset 64   blocks, each beginning on a multiple of 64
//   then        index, JSON
//   last 64     tail: "GSPKTAIL", u64 index offset, u64 index length, XXH3-128 of everything before the tail (16 bytes,
//               canonical order), zeros
// Integers are little-endian. Equal content gives equal bytes: there are no times in it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/file.h"
#include "engine/base/file_watch.h"
#include "engine/base/hash.h"

namespace gridstep {

inline constexpr std::uint64_t kFrameAlignment = 64;

class FramedWriter {
 public:
  FramedWriter(Sink sink, std::string_view magic, std::uint32_t version);  // magic: 8 characters

  std::uint64_t add(const void* data, std::size_t size);  // a block; returns its offset
  void extend(const void* data, std::size_t size);        // more bytes of the block added last
  void finish(const nlohmann::ordered_json& index);       // once, at the end

 private:
  void write(const void* data, std::size_t size);
  void align();

  Sink sink_;
  Hasher hasher_;
  std::uint64_t offset_ = 0;
};

struct Frame {
  std::span<const std::byte> blocks;  // from offset 0 up to the index
  std::string_view index;
  std::string digest;  // the checksum, 32 hex digits
};

// Throws DataError with the fault only: another magic or version, cut short, a checksum that does not match.
Frame read_frame(std::span<const std::byte> file, std::string_view magic, std::uint32_t version);

// Throws DataChanged, naming the file, when the bytes mapped no longer have this digest. Costs next to nothing while
// the file's size and times are as they were.
void require_unchanged(FileWatch& watch, std::span<const std::byte> file, const std::string& digest);

// `size` bytes at `offset` of the blocks; throws DataError when they do not lie there.
const std::byte* block_at(const Frame& frame, std::uint64_t offset, std::uint64_t size);

// An entry of an index that must be a whole number from lo to hi; throws DataError.
std::int64_t whole_number(const nlohmann::ordered_json& entry, std::int64_t lo, std::int64_t hi);

}  // namespace gridstep
