// safetensors files: named arrays with a JSON header, as Python's `safetensors` reads and writes them.
//   8 bytes: header length N, little-endian;  N bytes: JSON {name: {dtype, shape, data_offsets}, "__metadata__":
//   {string: string}}; then the data, row-major, little-endian, without gaps.
// Reading treats the file as hostile: lengths, offsets, overlaps, overflow and duplicate names are checked before
// anything is used, and the checksum where there is one: files of other programs have none.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/base/file.h"
#include "engine/tensor/tensor.h"

namespace gridstep {

struct ArrayView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<Index> shape;
  std::span<const std::byte> data;
  std::string foreign = {};  // "I64", "BF16", ...: elements that the engine has no type for; dtype says nothing then

  bool holds(DType type) const { return foreign.empty() && dtype == type; }
  std::string type() const;  // as the file names it: "F32"
};

// F32, F64, F16 or BF16 as floats, rounded to nearest. Throws DataError naming `path` and the array for other types.
std::vector<float> floats_of(const ArrayView& array, const fs::path& path);

// The metadata entry that holds the checksum of a file written here: XXH3-128 over all other metadata, and the names,
// types, shapes and data of the arrays, as 32 hex digits.
inline constexpr const char* kChecksumKey = "checksum";

// Writes atomically, arrays in the order given, data aligned to 8 bytes. The same content gives the same bytes.
void write_safetensors(const fs::path& path, const std::vector<ArrayView>& arrays,
                       const std::map<std::string, std::string>& metadata);

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const fs::path& path);  // throws DataError naming the fault

  const std::vector<ArrayView>& arrays() const { return arrays_; }
  const ArrayView* find(const std::string& name) const;  // null when there is none
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& metadata(const std::string& key) const;  // throws DataError when absent
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  MappedFile file_;
  std::vector<ArrayView> arrays_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace gridstep
