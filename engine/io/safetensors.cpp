#include "engine/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/error.h"
#include "engine/base/hash.h"

namespace gridstep {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::uint64_t kMaxHeader = 100'000'000;
static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

struct TypeName {
  DType type;
  const char* name;
};
constexpr TypeName kTypes[] = {{DType::kF32, "F32"}, {DType::kF64, "F64"}, {DType::kU8, "U8"},
                               {DType::kS8, "I8"},   {DType::kS32, "I32"}, {DType::kU32, "U32"}};

// Types of other programs' files: named and skipped, or turned into floats.
struct ForeignType {
  const char* name;
  Bytes size;
};
constexpr ForeignType kForeignTypes[] = {{"F16", 2}, {"BF16", 2}, {"I64", 8},     {"U64", 8},    {"I16", 2},
                                         {"U16", 2}, {"BOOL", 1}, {"F8_E5M2", 1}, {"F8_E4M3", 1}};

const char* type_name(DType type) {
  return std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& t) { return t.type == type; })->name;
}

// Elements of a hostile shape; throws on overflow.
std::uint64_t checked_elements(const std::vector<Index>& shape) {
  std::uint64_t n = 1;
  for (const Index d : shape) {
    if (d < 0 || __builtin_mul_overflow(n, static_cast<std::uint64_t>(d), &n)) throw DataError("its size overflows");
  }
  return n;
}

// Returns the bytes of an element.
Bytes set_type(ArrayView& view, const std::string& type) {
  const auto is_it = [&](const auto& known) { return type == known.name; };
  if (const auto known = std::find_if(std::begin(kTypes), std::end(kTypes), is_it); known != std::end(kTypes)) {
    view.dtype = known->type;
    return size_of(known->type);
  }
  const auto foreign = std::find_if(std::begin(kForeignTypes), std::end(kForeignTypes), is_it);
  if (foreign == std::end(kForeignTypes)) fail<DataError>("its type {} is not supported", type);
  view.foreign = type;
  return foreign->size;
}

ArrayView parse_entry(const std::string& name, const Json& entry, std::span<const std::byte> data) {
  ArrayView view;
  view.name = name;
  const auto type = entry.at("dtype").get<std::string>();
  const Bytes element = set_type(view, type);
  if (!entry.at("shape").is_array()) throw DataError("its shape is not a list of whole numbers");
  for (const Json& d : entry.at("shape")) {
    if (!d.is_number_unsigned()) throw DataError("its shape is not a list of whole numbers");
    view.shape.push_back(d.get<Index>());
  }
  const Json& offsets = entry.at("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    throw DataError("its data_offsets are not two whole numbers");
  }
  const auto begin = offsets[0].get<std::uint64_t>(), end = offsets[1].get<std::uint64_t>();
  if (begin > end || end > data.size())
    fail<DataError>("its data [{}, {}) lies outside the file's {} bytes", begin, end, data.size());
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(checked_elements(view.shape), static_cast<std::uint64_t>(element), &bytes) ||
      bytes != end - begin) {
    fail<DataError>("its shape does not fit its {} bytes of data", end - begin);
  }
  view.data = data.subspan(begin, end - begin);
  return view;
}

// Keys of one JSON object must differ; the parser itself would keep the last.
Json parse_header(std::string_view text) {
  if (text.find('\0') != text.npos) throw DataError("there is a NUL in it");  // the parser would stop there
  std::vector<std::set<std::string>> keys;
  const auto callback = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      fail<DataError>("the header names {} twice", parsed.dump());
    }
    return true;
  };
  return Json::parse(text, callback);
}

template <class T, class F>
std::vector<float> converted(const ArrayView& array, F to_float) {
  std::vector<float> values;
  values.reserve(array.data.size() / sizeof(T));
  for (std::size_t at = 0; at < array.data.size(); at += sizeof(T)) {
    T element;
    std::memcpy(&element, array.data.data() + at, sizeof element);
    values.push_back(to_float(element));
  }
  return values;
}

// IEEE 754 binary16: exact.
float half_to_float(std::uint16_t h) {
  const int exponent = h >> 10 & 31, fraction = h & 1023;
  const float magnitude = exponent == 31  ? (fraction == 0 ? HUGE_VALF : std::nanf(""))
                          : exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                          : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return (h >> 15) != 0 ? -magnitude : magnitude;
}

std::string checksum_of(const std::vector<ArrayView>& arrays, const std::map<std::string, std::string>& metadata) {
  Hasher hasher;
  for (const auto& [key, value] : metadata) {
    if (key == kChecksumKey) continue;
    hasher.add_text(key);
    hasher.add_text(value);
  }
  for (const ArrayView& a : arrays) {
    hasher.add_text(a.name);
    hasher.add_text(a.type());
    hasher.add_number(a.shape.size());
    for (const Index d : a.shape) hasher.add_number(static_cast<std::uint64_t>(d));
    hasher.add(a.data.data(), a.data.size());
  }
  return hex(hasher.digest());
}

}  // namespace

std::string ArrayView::type() const { return foreign.empty() ? type_name(dtype) : foreign; }

std::vector<float> floats_of(const ArrayView& array, const fs::path& path) {
  if (array.holds(DType::kF32)) return converted<float>(array, [](float v) { return v; });
  if (array.holds(DType::kF64)) return converted<double>(array, [](double v) { return static_cast<float>(v); });
  if (array.foreign == "F16") return converted<std::uint16_t>(array, half_to_float);
  if (array.foreign == "BF16") {
    return converted<std::uint16_t>(
        array, [](std::uint16_t h) { return std::bit_cast<float>(static_cast<std::uint32_t>(h) << 16); });
  }
  fail<DataError>("{}: '{}' is {}, wanted F32, F64, F16 or BF16", path.string(), array.name, array.type());
}

void write_safetensors(const fs::path& path, const std::vector<ArrayView>& arrays,
                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  auto entries = metadata;
  entries[kChecksumKey] = checksum_of(arrays, metadata);
  header["__metadata__"] = entries;
  std::uint64_t offset = 0;
  for (const ArrayView& a : arrays) {
    GS_CHECK(!header.contains(a.name) && a.name != "__metadata__", "{}: '{}' cannot name a second array", path.string(),
             a.name);
    header[a.name] = {{"dtype", a.type()}, {"shape", a.shape}, {"data_offsets", {offset, offset + a.data.size()}}};
    offset += a.data.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const auto length = static_cast<std::uint64_t>(text.size());
  write_file_atomic(path, [&](const Sink& sink) {
    sink(&length, sizeof length);
    sink(text.data(), text.size());
    for (const ArrayView& a : arrays) sink(a.data.data(), a.data.size());
  });
}

SafetensorsFile::SafetensorsFile(const fs::path& path) : path_(path) {
  std::string what = "the header";
  try {
    file_ = MappedFile(path);
    const auto bytes = file_.bytes();
    std::uint64_t length = 0;
    if (bytes.size() < sizeof length) throw DataError("it is shorter than the length of its header");
    std::memcpy(&length, bytes.data(), sizeof length);
    if (length > kMaxHeader || length > bytes.size() - sizeof length) {
      fail<DataError>("its header claims {} bytes, the file has {}", length, bytes.size());
    }
    const Json header = parse_header({reinterpret_cast<const char*>(bytes.data()) + sizeof length, length});
    if (!header.is_object()) throw DataError("its header is not an object");
    const auto data = bytes.subspan(sizeof length + length);
    for (const auto& [name, entry] : header.items()) {
      what = "'" + name + "'";
      if (name == "__metadata__") {
        metadata_ = entry.get<std::map<std::string, std::string>>();
      } else {
        arrays_.push_back(parse_entry(name, entry, data));
      }
    }
    what = "the data";
    std::vector<const ArrayView*> order;
    for (const ArrayView& a : arrays_) order.push_back(&a);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->data.data() < b->data.data(); });
    const std::byte* next = data.data();
    for (const ArrayView* a : order) {
      if (a->data.empty()) continue;
      if (a->data.data() != next) fail<DataError>("'{}' overlaps another array or leaves a gap", a->name);
      next += a->data.size();
    }
    if (next != data.data() + data.size()) throw DataError("bytes are left over behind the last array");
    const auto checksum = metadata_.find(kChecksumKey);
    if (checksum != metadata_.end() && checksum->second != checksum_of(arrays_, metadata_))
      throw DataError("its checksum does not match: the file was damaged after it was written");
  } catch (const Json::exception& error) {
    fail<DataError>("{} is not a usable safetensors file: {}: {}", path.string(), what, error.what());
  } catch (const Error& error) {
    fail<DataError>("{} is not a usable safetensors file: {}: {}", path.string(), what, error.what());
  }
}

const ArrayView* SafetensorsFile::find(const std::string& name) const {
  const auto it = std::find_if(arrays_.begin(), arrays_.end(), [&](const ArrayView& a) { return a.name == name; });
  return it == arrays_.end() ? nullptr : &*it;
}

const std::string& SafetensorsFile::metadata(const std::string& key) const {
  const auto it = metadata_.find(key);
  if (it == metadata_.end())
    fail<DataError>("{} has no metadata entry '{}': it is not a checkpoint of gridstep", path_.string(), key);
  return it->second;
}

}  // namespace gridstep
