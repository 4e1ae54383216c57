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

using Json = nlohmann::json;
constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr std::size_t kMaxNames = 1'000'000, kMaxRank = 64;
constexpr std::string_view kMetadata = "__metadata__";
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

// Reads the header entry by entry. Each is used when it is complete and dropped then, so that time and memory are in
// proportion to the header; what no entry can have is refused before it is kept.
class HeaderReader {
 public:
  // `what` names the entry in work, for messages.
  HeaderReader(std::span<const std::byte> data, std::string& what) : data_(data), what_(what) {}

  void read(std::string_view text) {
    if (text.find('\0') != text.npos) throw DataError("there is a NUL in it");  // the parser would stop there
    try {
      const Json rest = Json::parse(text, [&](int depth, Event event, Json& parsed) {
        if (depth == 0 && event != Event::object_start && event != Event::object_end)
          throw DataError("its header is not an object");
        return keep(depth, event, parsed);
      });
    } catch (const Json::parse_error&) {
      what_ = "the header";
      throw;
    }
    what_ = "the header";
  }

  std::vector<ArrayView> arrays;
  std::map<std::string, std::string> metadata;

 private:
  using Event = Json::parse_event_t;

  // Of the parser's events; `depth` counts what is open around it. Whether the parser keeps the value.
  bool keep(int depth, Event event, const Json& parsed) {
    if (event == Event::key && depth == 1) {
      begin_entry(parsed.get<std::string>());
    } else if (event == Event::key) {
      add_key(parsed.get<std::string>());
    } else if (depth == 1 && event == Event::object_end) {
      end_entry(parsed);
      return false;
    } else if (depth == 1 && event != Event::object_start) {
      throw DataError("it is not an object");
    } else if (depth > 1) {
      check_value(depth, event, parsed);
    }
    return true;
  }

  // Keys of one JSON object must differ; the parser itself would keep the last.
  void begin_entry(std::string name) {
    what_ = "'" + name + "'";
    if (!names_.insert(name).second) fail<DataError>("the header names it twice");
    if (names_.size() > kMaxNames) fail<DataError>("the header names more than {} arrays", kMaxNames);
    name_ = std::move(name);
    keys_.clear();
  }

  bool is_metadata() const { return name_ == kMetadata; }

  void add_key(std::string key) {
    if (!keys_.insert(key).second) fail<DataError>("it names '{}' twice", key);
    if (keys_.size() > kMaxNames) fail<DataError>("it has more than {} entries", kMaxNames);
    if (!is_metadata() && key != "dtype" && key != "shape" && key != "data_offsets")
      fail<DataError>("it has '{}' besides dtype, shape and data_offsets", key);
    key_ = std::move(key);
  }

  void check_value(int depth, Event event, const Json& parsed) {
    if (event == Event::object_start) fail<DataError>("its {} is an object", key_);
    if (event == Event::array_start) {
      if (depth > 2 || is_metadata()) fail<DataError>("its {} has a list where none belongs", key_);
      length_ = 0;
    }
    if (event != Event::value) return;
    if (is_metadata() && !parsed.is_string()) fail<DataError>("its {} is not a text", key_);
    if (depth > 2 && ++length_ > kMaxRank) fail<DataError>("its {} has more than {} numbers", key_, kMaxRank);
  }

  void end_entry(const Json& entry) {
    if (is_metadata()) {
      metadata = entry.get<std::map<std::string, std::string>>();
    } else {
      arrays.push_back(parse_entry(name_, entry, data_));
    }
  }

  std::span<const std::byte> data_;
  std::string& what_;
  std::set<std::string> names_, keys_;  // of the header, of the entry in work
  std::string name_, key_;
  std::size_t length_ = 0;
};

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
  auto header = nlohmann::ordered_json::object();  // in the order given
  auto entries = metadata;
  entries[kChecksumKey] = checksum_of(arrays, metadata);
  header[std::string(kMetadata)] = entries;
  std::uint64_t offset = 0;
  for (const ArrayView& a : arrays) {
    GS_CHECK(!header.contains(a.name) && a.name != kMetadata, "{}: '{}' cannot name a second array", path.string(),
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
    const auto data = bytes.subspan(sizeof length + length);
    HeaderReader header(data, what);
    header.read({reinterpret_cast<const char*>(bytes.data()) + sizeof length, length});
    arrays_ = std::move(header.arrays);
    metadata_ = std::move(header.metadata);
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
