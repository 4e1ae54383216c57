// safetensors files: as they are; without their checksum; and, for bytes that are no such file, as a header with some
// data behind it.
#include <cstring>

#include "engine/base/error.h"
#include "engine/io/safetensors.h"
#include "tests/fuzz/safetensors_forms.h"
#include "tests/fuzz/target.h"

namespace gridstep::fuzz {
namespace {

bool converts(const ArrayView& a) {
  return a.holds(DType::kF32) || a.holds(DType::kF64) || a.foreign == "F16" || a.foreign == "BF16";
}

void check_array(const ArrayView& a, const fs::path& path) {
  std::size_t elements = 1;
  for (const Index d : a.shape) elements *= static_cast<std::size_t>(d);
  require(a.data.empty() == (elements == 0) && (elements == 0 || a.data.size() % elements == 0),
          "the shape fits the data");
  require(accepts<DataError>(
              [&] { require(floats_of(a, path).size() == elements, "every element becomes a float"); }) == converts(a),
          "floats become floats, and nothing else does");
}

// What was read can be written, and is the same then.
void check_copy(const SafetensorsFile& file) {
  const fs::path path = scratch() / "copy.safetensors";
  write_safetensors(path, file.arrays(), file.metadata());
  const SafetensorsFile copy(path);
  require(copy.arrays().size() == file.arrays().size(), "a copy has all arrays");
  for (const ArrayView& a : file.arrays()) {
    const ArrayView* b = copy.find(a.name);
    require(b != nullptr && b->type() == a.type() && b->shape == a.shape, "a copy has the same arrays");
    require(a.data.size() == b->data.size() &&
                (a.data.empty() || std::memcmp(a.data.data(), b->data.data(), a.data.size()) == 0),
            "a copy has the same data");
  }
  for (const auto& [key, value] : file.metadata())
    require(key == kChecksumKey || copy.metadata(key) == value, "a copy has the same metadata");
}

void check_file(std::string_view content) {
  const fs::path path = put("a.safetensors", content);
  accepts<DataError>([&] {
    const SafetensorsFile file(path);
    std::size_t bytes = 0;
    for (const ArrayView& a : file.arrays()) {
      check_array(a, path);
      bytes += a.data.size();
    }
    require(bytes < content.size(), "arrays lie in the file and do not overlap");
    check_copy(file);
  });
}

}  // namespace
}  // namespace gridstep::fuzz

GS_FUZZ_TARGET(safetensors) {
  using namespace gridstep::fuzz;
  const std::string_view text = text_of(input);
  if (text.starts_with('{')) {
    // The header up to the last brace, with its length; then the data.
    const std::size_t length = text.rfind('}') == text.npos ? text.size() : text.rfind('}') + 1;
    std::string file(sizeof length, '\0');
    std::memcpy(file.data(), &length, sizeof length);
    check_file(without_checksum(file.append(text)));
    return;
  }
  check_file(text);
  check_file(without_checksum(std::string(text)));
}
