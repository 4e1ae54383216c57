#include "data/pack.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/framed_file.h"
#include "engine/base/error.h"

namespace gridstep {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kMagic("GSPACK\r\n", 8);

int whole_int(const Json& entry, int lo) {
  return static_cast<int>(whole_number(entry, lo, std::numeric_limits<int>::max()));
}

// The pixels an index entry speaks of, which must lie between the head and the index.
ImageView plane_view(const Json& entry, const Frame& frame) {
  ImageView view{whole_int(entry.at("h"), 1), whole_int(entry.at("w"), 1), whole_int(entry.at("c"), 1), nullptr};
  const auto sides = static_cast<std::uint64_t>(view.height) * static_cast<std::uint64_t>(view.width);
  const auto channels = static_cast<std::uint64_t>(view.channels);
  if (sides > frame.blocks.size() / channels) fail<DataError>("an entry of its index points outside the pixels");
  const auto offset = static_cast<std::uint64_t>(whole_number(entry.at("offset"), 0, INT64_MAX));
  const std::byte* pixels = block_at(frame, offset, sides * channels);
  view.pixels = reinterpret_cast<const std::uint8_t*>(pixels);
  return view;
}

}  // namespace

struct PackWriter::State {
  explicit State(Sink sink) : file(std::move(sink), kMagic, kPackVersion) {}

  Json plane(ImageView image) {
    const std::uint64_t offset = file.add(image.pixels, image.size_bytes());
    return {{"h", image.height}, {"w", image.width}, {"c", image.channels}, {"offset", offset}};
  }

  FramedWriter file;
  Json photos = Json::array();
};

PackWriter::PackWriter(Sink sink) : state_(std::make_unique<State>(std::move(sink))) {}

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
  state_->file.finish(index);
}

Pack::Pack(const fs::path& path) : file_(path), watch_(path) {
  try {
    read(file_.bytes());
  } catch (const Json::exception& e) {
    fail<DataError>("{}: damaged pack: its index cannot be read ({})", path.string(), e.what());
  } catch (const Error& e) {
    fail<DataError>("{}: damaged pack: {}", path.string(), e.what());
  }
}

void Pack::read(std::span<const std::byte> file) {
  const Frame frame = read_frame(file, kMagic, kPackVersion);
  digest_ = frame.digest;
  const Json index = Json::parse(frame.index.begin(), frame.index.end());
  meta_.dataset = index.at("dataset").get<std::string>();
  meta_.split = index.at("split").get<std::string>();
  meta_.layout = index.at("layout").get<std::string>();
  meta_.scale = whole_int(index.at("scale"), 1);
  meta_.border = parse_border(index.at("border").get<std::string>());
  meta_.limit = whole_int(index.at("limit"), 0);
  meta_.official_lr = whole_int(index.at("official_lr"), 0);
  for (const Json& s : index.at("skipped"))
    meta_.skipped.push_back({s.at("name").get<std::string>(), s.at("reason").get<std::string>()});
  for (const Json& p : index.at("photos")) {
    SrPhoto photo{p.at("name").get<std::string>(), plane_view(p.at("lr"), frame), plane_view(p.at("hr"), frame)};
    const std::int64_t scale = meta_.scale;
    if (photo.hr.height != photo.lr.height * scale || photo.hr.width != photo.lr.width * scale ||
        photo.hr.channels != photo.lr.channels)
      fail<DataError>("the sizes of '{}' do not fit the scale", photo.name);
    photos_.push_back(std::move(photo));
  }
  if (photos_.empty()) fail<DataError>("it holds no photos");
}

}  // namespace gridstep
