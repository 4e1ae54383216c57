#include "data/pack.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "data/hash.h"
#include "engine/base/error.h"

static_assert(std::endian::native == std::endian::little, "packs are read and written as they lie in memory");

namespace gridstep {
namespace {

using Json = nlohmann::ordered_json;
using Bytes = std::span<const std::byte>;

constexpr std::uint64_t kAlignment = 64;
constexpr std::string_view kHeadMagic("GSPACK\r\n", 8);
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
static_assert(sizeof(Head) == kAlignment && sizeof(Tail) == kAlignment);

Json plane_json(ImageView image, std::uint64_t offset) {
  return {{"h", image.height}, {"w", image.width}, {"c", image.channels}, {"offset", offset}};
}

int positive_int(const Json& value) {
  const auto number = value.get<std::int64_t>();
  if (number < 1 || number > std::numeric_limits<int>::max()) fail<DataError>("a size of {} in its index", number);
  return static_cast<int>(number);
}

// The pixels an index entry speaks of, which must lie between the head and the index.
ImageView plane_view(const Json& entry, Bytes pixels) {
  ImageView view{positive_int(entry.at("h")), positive_int(entry.at("w")), positive_int(entry.at("c")), nullptr};
  const auto offset = entry.at("offset").get<std::uint64_t>();
  const auto sides = static_cast<std::uint64_t>(view.height) * static_cast<std::uint64_t>(view.width);
  const auto channels = static_cast<std::uint64_t>(view.channels);
  const bool inside = offset >= kAlignment && offset % kAlignment == 0 && offset <= pixels.size() &&
                      sides <= (pixels.size() - offset) / channels;
  if (!inside) fail<DataError>("an entry of its index points outside the pixels");
  view.pixels = reinterpret_cast<const std::uint8_t*>(pixels.data()) + offset;
  return view;
}

}  // namespace

struct PackWriter::State {
  explicit State(Sink s) : sink(std::move(s)) {}

  void write(const void* data, std::size_t size) {
    sink(data, size);
    hasher.add(data, size);
    offset += size;
  }
  void align() {
    static constexpr std::array<char, kAlignment> kZeros{};
    write(kZeros.data(), static_cast<std::size_t>((kAlignment - offset % kAlignment) % kAlignment));
  }
  Json plane(ImageView image) {
    align();
    Json entry = plane_json(image, offset);
    write(image.pixels, image.size_bytes());
    return entry;
  }

  Sink sink;
  Hasher hasher;
  std::uint64_t offset = 0;
  Json photos = Json::array();
};

PackWriter::PackWriter(Sink sink) : state_(std::make_unique<State>(std::move(sink))) {
  Head head{};
  std::copy(kHeadMagic.begin(), kHeadMagic.end(), head.magic);
  head.version = kPackVersion;
  state_->write(&head, sizeof head);
}

PackWriter::~PackWriter() = default;

void PackWriter::add(const std::string& name, ImageView lr, ImageView hr) {
  Json photo{{"name", name}};
  photo["lr"] = state_->plane(lr);
  photo["hr"] = state_->plane(hr);
  state_->photos.push_back(std::move(photo));
}

void PackWriter::finish(const PackMeta& meta) {
  Json skipped = Json::array();
  for (const SkippedFile& file : meta.skipped) skipped.push_back({{"name", file.name}, {"reason", file.reason}});
  const Json index{{"dataset", meta.dataset},
                   {"split", meta.split},
                   {"layout", meta.layout},
                   {"scale", meta.scale},
                   {"border", border_name(meta.border)},
                   {"limit", meta.limit},
                   {"official_lr", meta.official_lr},
                   {"skipped", std::move(skipped)},
                   {"photos", std::move(state_->photos)}};
  state_->align();
  Tail tail{};
  std::copy(kTailMagic.begin(), kTailMagic.end(), tail.magic);
  tail.index_offset = state_->offset;
  // File names need not be UTF-8; what is not is replaced, since names in a pack are for people.
  const std::string text = index.dump(-1, ' ', false, Json::error_handler_t::replace);
  tail.index_size = text.size();
  state_->write(text.data(), text.size());
  state_->align();
  tail.digest = state_->hasher.digest();
  state_->sink(&tail, sizeof tail);
}

Pack::Pack(const fs::path& path) : file_(path) {
  try {
    read(file_.bytes());
  } catch (const Json::exception& e) {
    fail<DataError>("{}: damaged pack: its index cannot be read ({})", path.string(), e.what());
  } catch (const Error& e) {
    fail<DataError>("{}: damaged pack: {}", path.string(), e.what());
  }
}

void Pack::read(Bytes file) {
  Head head;
  Tail tail;
  if (file.size() < sizeof head + sizeof tail) fail<DataError>("only {} bytes long", file.size());
  std::memcpy(&head, file.data(), sizeof head);
  std::memcpy(&tail, file.data() + file.size() - sizeof tail, sizeof tail);
  if (std::string_view(head.magic, sizeof head.magic) != kHeadMagic) fail<DataError>("does not begin as a pack does");
  if (head.version != kPackVersion) fail<DataError>("version {}, this program reads {}", head.version, kPackVersion);
  if (std::string_view(tail.magic, sizeof tail.magic) != kTailMagic) fail<DataError>("cut short");
  const std::size_t body = file.size() - sizeof tail;
  if (hash128(file.data(), body) != tail.digest) fail<DataError>("the checksum does not match");
  digest_ = hex(tail.digest);

  if (tail.index_offset > body || tail.index_size > body - tail.index_offset) fail<DataError>("its index lies outside");
  const auto* text = reinterpret_cast<const char*>(file.data()) + tail.index_offset;
  const Json index = Json::parse(text, text + tail.index_size);
  meta_.dataset = index.at("dataset").get<std::string>();
  meta_.split = index.at("split").get<std::string>();
  meta_.layout = index.at("layout").get<std::string>();
  meta_.scale = positive_int(index.at("scale"));
  meta_.border = parse_border(index.at("border").get<std::string>());
  meta_.limit = index.at("limit").get<int>();
  meta_.official_lr = index.at("official_lr").get<int>();
  for (const Json& s : index.at("skipped"))
    meta_.skipped.push_back({s.at("name").get<std::string>(), s.at("reason").get<std::string>()});
  const Bytes pixels = file.first(tail.index_offset);
  for (const Json& p : index.at("photos")) {
    SrPhoto photo{p.at("name").get<std::string>(), plane_view(p.at("lr"), pixels), plane_view(p.at("hr"), pixels)};
    if (photo.hr.height != photo.lr.height * meta_.scale || photo.hr.width != photo.lr.width * meta_.scale ||
        photo.hr.channels != photo.lr.channels)
      fail<DataError>("the sizes of '{}' do not fit the scale", photo.name);
    photos_.push_back(std::move(photo));
  }
}

}  // namespace gridstep
