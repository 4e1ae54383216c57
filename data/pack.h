// A pack: one file with the decoded photos of one (data set, split, scale, border, limit), made to be mapped. A framed
// file (data/framed_file.h) with the magic "GSPACK\r\n": for each photo the block of LR, then that of HR, u8 (H, W, C);
// the index has the meta data, skipped files, and per photo its name, sizes and offsets.
//
// The index stands behind the pixels, so that a pack is written in one pass with the memory of one photo. A pack holds
// no times, host paths or options of the machine: equal data gives equal bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/framed_file.h"
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
  void require_unchanged() { gridstep::require_unchanged(watch_, file_.bytes(), digest_); }

 private:
  void read(std::span<const std::byte> file);

  MappedFile file_;
  FileWatch watch_;
  PackMeta meta_;
  std::vector<SrPhoto> photos_;
  std::string digest_;
};

}  // namespace gridstep
