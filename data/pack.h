// A pack: one file with the decoded photos of one (data set, split, scale, border, limit), made to be mapped.
//
//   offset 0    head, 64 bytes: "GSPACK\r\n", u32 version, zeros
//   offset 64   pixels: for each photo LR then HR, u8 (H, W, C), each beginning on a multiple of 64
//   then        index, JSON: meta, skipped files, and per photo its name, sizes and offsets
//   last 64     tail: "GSPKTAIL", u64 index offset, u64 index length, XXH3-128 of everything before the tail (16 bytes,
//               canonical order), zeros
// Integers are little-endian. The index stands behind the pixels, so that a pack is written in one pass with the memory
// of one photo. A pack holds no times, host paths or options of the machine: equal data gives equal bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "engine/base/file.h"

namespace gridstep {

inline constexpr std::uint32_t kPackVersion = 1;

struct PackMeta {
  std::string dataset;
  std::string split;
  std::string layout;  // for people: "official DIV2K layout"
  int scale = 0;
  Border border = Border::kMirror;
  int limit = 0;
  int official_lr = 0;  // photos whose LR is the official file
  std::vector<SkippedFile> skipped;
};

// Streams a pack into a sink (engine/base/file.h). add() in photo order, then finish() once.
class PackWriter {
 public:
  explicit PackWriter(Sink sink);
  ~PackWriter();
  PackWriter(const PackWriter&) = delete;
  PackWriter& operator=(const PackWriter&) = delete;

  void add(const std::string& name, ImageView lr, ImageView hr);
  void finish(const PackMeta& meta);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A mapped pack. Opening verifies the checksum of the whole file and every offset.
class Pack {
 public:
  explicit Pack(
      const fs::path& path);  // throws DataError naming the file and the fault; Error when it cannot be opened

  const PackMeta& meta() const { return meta_; }
  const std::vector<SrPhoto>& photos() const { return photos_; }
  const std::string& digest() const { return digest_; }  // the checksum, 32 hex digits

 private:
  void read(std::span<const std::byte> file);

  MappedFile file_;
  PackMeta meta_;
  std::vector<SrPhoto> photos_;
  std::string digest_;
};

}  // namespace gridstep
