#include "data/labelled_pack.h"

#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/error.h"

namespace gridstep {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kMagic("GSLABEL\n", 8);
constexpr int kMaxSide = 4096;

void read(LabelledImages& images) {
  const Frame frame = read_frame(images.pack.bytes(), kMagic, kLabelledPackVersion);
  const Json index = Json::parse(frame.index.begin(), frame.index.end());
  images.pack_digest = frame.digest;
  images.layout = index.at("layout").get<std::string>();
  images.side = static_cast<int>(whole_number(index.at("side"), 1, kMaxSide));
  images.class_names = index.at("classes").get<std::vector<std::string>>();
  for (const Json& s : index.at("skipped"))
    images.skipped.push_back({s.at("name").get<std::string>(), s.at("reason").get<std::string>()});
  for (const Json& label : index.at("labels"))
    images.labels.push_back(static_cast<std::int32_t>(whole_number(label, 0, std::ssize(images.class_names) - 1)));
  if (images.labels.empty()) fail<DataError>("it holds no images");
  const auto side = static_cast<std::uint64_t>(images.side);
  const std::byte* pixels = block_at(frame, kFrameAlignment, images.labels.size() * side * side * 3);
  images.mapped = reinterpret_cast<const std::uint8_t*>(pixels);
}

}  // namespace

LabelledPackWriter::LabelledPackWriter(Sink sink) : file_(std::move(sink), kMagic, kLabelledPackVersion) {}

void LabelledPackWriter::add(ImageView image, std::int32_t label) {
  file_.extend(image.pixels, image.size_bytes());
  labels_.push_back(label);
}

void LabelledPackWriter::finish(const LabelledImages& images) {
  Json skipped = Json::array();
  for (const SkippedFile& file : images.skipped) skipped.push_back({{"name", file.name}, {"reason", file.reason}});
  file_.finish({{"layout", images.layout},
                {"side", images.side},
                {"classes", images.class_names},
                {"skipped", std::move(skipped)},
                {"labels", labels_}});
}

LabelledImages read_labelled_pack(const fs::path& path) {
  LabelledImages images;
  images.pack = MappedFile(path);
  images.watch = FileWatch(path);
  try {
    read(images);
  } catch (const Json::exception& e) {
    fail<DataError>("{}: damaged pack: its index cannot be read ({})", path.string(), e.what());
  } catch (const Error& e) {
    fail<DataError>("{}: damaged pack: {}", path.string(), e.what());
  }
  return images;
}

}  // namespace gridstep
