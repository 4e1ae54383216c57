// fuzz_seeds FOLDER: writes a few small valid files for every fuzz target to FOLDER/<target>/, and FOLDER/<target>.dict
// where words help. Everything is generated; the same files every time.
#include <png.h>
#include <turbojpeg.h>

#include <cstdio>
#include <cstring>
#include <memory>

#include "data/codecs/encode.h"
#include "data/labelled_pack.h"
#include "data/pack.h"
#include "engine/base/error.h"
#include "engine/study/definition.h"
#include "engine/study/shipped.h"
#include "engine/train/checkpoint.h"
#include "tests/fuzz/toy_network.h"

namespace gridstep::fuzz {
namespace {

class Folder {
 public:
  explicit Folder(fs::path root) : root_(std::move(root)) {}

  void put(const char* target, const std::string& name, std::string_view content) const {
    fs::create_directories(root_ / target);
    write_file_atomic(root_ / target / name, content);
  }
  fs::path path(const char* target, const std::string& name) const {
    fs::create_directories(root_ / target);
    return root_ / target / name;
  }
  // Words for libFuzzer's -dict; printable ones without quotes or backslashes.
  void put_words(const char* target, const std::vector<std::string>& words) const {
    std::string lines;
    for (const std::string& word : words) lines += "\"" + word + "\"\n";
    write_file_atomic(root_ / (std::string(target) + ".dict"), lines);
  }

 private:
  fs::path root_;
};

Image pattern(int height, int width, int channels) {
  Image image(height, width, channels);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(i * i / 7 + 3 * i);
  return image;
}

struct PngKind {
  const char* name;
  int colour, depth, interlace;
  bool transparency;
};

// Through libpng, for the kinds that the product does not write.
std::string png_of(const PngKind& kind) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp p, png_bytep data, png_size_t n) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<const char*>(data), n);
      },
      nullptr);
  constexpr int kSide = 9;
  png_set_IHDR(png, info, kSide, kSide, kind.depth, kind.colour, kind.interlace, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  const png_color palette[4] = {{0, 0, 0}, {255, 0, 0}, {0, 255, 0}, {9, 9, 200}};
  if (kind.colour == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 4);
  png_byte alphas[2] = {0, 128};
  png_color_16 colour_key{1, 3, 3, 3, 3};
  if (kind.transparency) png_set_tRNS(png, info, alphas, 2, &colour_key);
  png_write_info(png, info);
  Image rows = pattern(kSide, kSide, 8);
  if (kind.colour == PNG_COLOR_TYPE_PALETTE) std::fill(rows.pixels.begin(), rows.pixels.end(), std::uint8_t{1});
  const int passes = png_set_interlace_handling(png);
  for (int pass = 0; pass < passes; ++pass)
    for (int y = 0; y < kSide; ++y) png_write_row(png, rows.row(y));
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return out;
}

void write_png_seeds(const Folder& folder) {
  for (const int channels : {1, 3, 4})
    folder.put("png", fmt::format("plain{}", channels), encode_png(pattern(7, 5, channels).view()));
  for (const PngKind& kind :
       {PngKind{"gray1", PNG_COLOR_TYPE_GRAY, 1, 0, false}, PngKind{"gray2key", PNG_COLOR_TYPE_GRAY, 2, 1, true},
        PngKind{"gray16", PNG_COLOR_TYPE_GRAY, 16, 1, false}, PngKind{"gray16key", PNG_COLOR_TYPE_GRAY, 16, 0, true},
        PngKind{"rgb8key", PNG_COLOR_TYPE_RGB, 8, 1, true}, PngKind{"rgb16", PNG_COLOR_TYPE_RGB, 16, 0, false},
        PngKind{"palette2", PNG_COLOR_TYPE_PALETTE, 2, 1, true},
        PngKind{"palette8", PNG_COLOR_TYPE_PALETTE, 8, 0, false},
        PngKind{"ga16", PNG_COLOR_TYPE_GRAY_ALPHA, 16, 1, false},
        PngKind{"rgba8", PNG_COLOR_TYPE_RGB_ALPHA, 8, 1, false}})
    folder.put("png", kind.name, png_of(kind));
  // Settings of a built picture (fuzz_png.cpp), one per kind, and rows.
  for (int kind = 0; kind < 16; ++kind) {
    std::string bytes{'\4', '\3', static_cast<char>(kind), static_cast<char>(kind % 8), '\4', '\2'};
    for (int i = 0; i < 300; ++i) bytes += static_cast<char>(i % 45 == 0 ? i % 5 : i * i / 7);
    folder.put("png", fmt::format("built{}", kind), bytes);
  }
  folder.put_words("png", {"IHDR", "PLTE", "tRNS", "IDAT", "IEND", "gAMA", "sBIT", "iCCP", "sRGB", "eXIf",
                           "tEXt", "zTXt", "iTXt", "bKGD", "acTL", "cHRM", "pHYs", "hIST", "sPLT", "tIME"});
}

std::string jpeg_of(int format, int subsampling, int flags) {
  const Image image = pattern(19, 23, format == TJPF_GRAY ? 1 : format == TJPF_CMYK ? 4 : 3);
  const std::unique_ptr<void, int (*)(tjhandle)> handle(tjInitCompress(), tjDestroy);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const int result = tjCompress2(handle.get(), image.pixels.data(), image.width, 0, image.height, format, &bytes, &size,
                                 subsampling, 60, flags);
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> owned(bytes, tjFree);
  GS_CHECK(result == 0, "cannot write a JPEG: {}", tjGetErrorStr2(handle.get()));
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

std::string with_exif(const std::string& jpeg, char orientation) {
  using namespace std::string_literals;
  const std::string exif = "Exif\0\0MM\0*\0\0\0\10\0\1\1\x12\0\3\0\0\0\1\0"s + orientation + "\0\0\0\0\0\0"s;
  const std::string head = "\xff\xe1\0"s + static_cast<char>(exif.size() + 2);
  return jpeg.substr(0, 2) + head + exif + jpeg.substr(2);
}

void write_jpeg_seeds(const Folder& folder) {
  folder.put("jpeg", "rgb444", jpeg_of(TJPF_RGB, TJSAMP_444, 0));
  folder.put("jpeg", "rgb420", jpeg_of(TJPF_RGB, TJSAMP_420, 0));
  folder.put("jpeg", "progressive", jpeg_of(TJPF_RGB, TJSAMP_422, TJFLAG_PROGRESSIVE));
  folder.put("jpeg", "gray", jpeg_of(TJPF_GRAY, TJSAMP_GRAY, 0));
  folder.put("jpeg", "cmyk", jpeg_of(TJPF_CMYK, TJSAMP_440, TJFLAG_PROGRESSIVE));
  for (const char orientation : {'\3', '\6'})
    folder.put("jpeg", fmt::format("exif{}", int{orientation}),
               with_exif(jpeg_of(TJPF_GRAY, TJSAMP_GRAY, 0), orientation));
}

void write_cifar10_seeds(const Folder& folder) {
  std::string records;
  for (int i = 0; i < 2; ++i) {
    records += static_cast<char>(7 * i + 2);
    records.append(reinterpret_cast<const char*>(pattern(32, 32, 3).pixels.data()), 3072);
    folder.put("cifar10", fmt::format("records{}", i + 1), records);
  }
}

void write_list_seeds(const Folder& folder) {
  folder.put("list", "dogs", "\xEF\xBB\xBF.//1043-n000001-Shiba_Dog/n1.jpeg\r\n./200-n000002-two words/n 2.jpg\r\n");
  folder.put("list", "food", "apple_pie\nbaby back ribs\n\napple_pie/1005649\nbaby back ribs/7\n");
  folder.put("list", "folder", "a/b.png 1\nc d.jpg\t10\n\na/e.png 10\n");
  folder.put_words("list", {"./", "..", "-n000001-", ".jpeg", "\\xEF\\xBB\\xBF", "\\x0D\\x0A"});
}

std::string collected(const std::function<void(Sink)>& write) {
  std::string content;
  write([&](const void* data, std::size_t size) { content.append(static_cast<const char*>(data), size); });
  return content;
}

void write_pack_seeds(const Folder& folder) {
  folder.put("pack", "photos", collected([](const Sink& sink) {
               PackWriter writer(sink);
               writer.add("a.png", pattern(3, 4, 3).view(), pattern(6, 8, 3).view());
               writer.add("b.png", pattern(2, 2, 3).view(), pattern(4, 4, 3).view());
               writer.finish({.dataset = "div2k", .split = "val", .layout = "x", .scale = 2, .skipped = {{"c", "d"}}});
             }));
  folder.put("pack", "labelled", collected([](const Sink& sink) {
               LabelledPackWriter writer(sink);
               for (int i = 0; i < 3; ++i) writer.add(pattern(4, 4, 3).view(), i % 2);
               LabelledImages images;
               images.side = 4;
               images.class_names = {"a", "b"};
               images.layout = "x";
               images.skipped = {{"c", "d"}};
               writer.finish(images);
             }));
  // Indices alone (fuzz_pack.cpp puts the rest around them).
  folder.put("pack", "index",
             R"({"dataset":"d","split":"val","layout":"x","scale":2,"border":"mirror","limit":0,"official_lr":0,)"
             R"("skipped":[{"name":"c","reason":"r"}],"photos":[{"name":"a","lr":{"h":3,"w":4,"c":3,"offset":64},)"
             R"("hr":{"h":6,"w":8,"c":3,"offset":128}}]})");
  folder.put("pack", "labels",
             R"({"layout":"x","side":4,"classes":["a","b"],"skipped":[{"name":"c","reason":"r"}],"labels":[0,1,0]})");
  folder.put_words("pack", {"dataset",     "split",
                            "layout",      "scale",
                            "border",      "limit",
                            "official_lr", "skipped",
                            "photos",      "name",
                            "reason",      "lr",
                            "hr",          "offset",
                            "side",        "classes",
                            "labels",      "GSPACK",
                            "GSLABEL",     "GSPKTAIL",
                            "2147483647",  "18446744073709551615",
                            "1e300",       "-1"});
}

const std::vector<std::string> kHeaderWords = {"dtype",
                                               "shape",
                                               "data_offsets",
                                               "__metadata__",
                                               "F32",
                                               "F64",
                                               "F16",
                                               "BF16",
                                               "U8",
                                               "I8",
                                               "I32",
                                               "U32",
                                               "I64",
                                               "BOOL",
                                               "checksum",
                                               "4294967296",
                                               "9223372036854775807",
                                               "18446744073709551615",
                                               "-1",
                                               "1.0"};

void write_safetensors_seeds(const Folder& folder) {
  const std::vector<float> floats{1.0f, -2.5f, 0.0f, 3e-39f, 1e30f, -0.0f};
  const std::vector<std::uint8_t> bytes{0, 127, 255, 0};
  write_safetensors(folder.path("safetensors", "written"),
                    {{"w", DType::kF32, {2, 3}, std::as_bytes(std::span(floats))},
                     {"q", DType::kU8, {4}, std::as_bytes(std::span(bytes))},
                     {"none", DType::kS32, {0, 4}, {}}},
                    {{"format", "x"}, {"quote", "a \"b\" \n \xc3\xa9"}});
  write_safetensors(folder.path("safetensors", "empty"), {}, {});
  const std::string header =
      R"({"b":{"dtype":"BF16","shape":[2],"data_offsets":[4,8]},"a":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}})";
  folder.put("safetensors", "header", header + std::string(8, '\1'));
  folder.put_words("safetensors", kHeaderWords);
}

void write_checkpoint_seeds(const Folder& folder) {
  const std::unique_ptr<Device> device = make_cpu_device(1);
  ParameterStore store(*device, toy_table(), 1, 1, false);
  store.initialise({1});
  CheckpointState state;
  state.step = 7;
  state.status = {.inexact = 1, .clipped = 2, .clippable = 3, .loss_sum = 0.625, .loss_count = 4};
  state.extra = {{"progress", R"({"fault":"","last":{"psnr_y":30.5},"best":{"psnr_y":31},"best_epoch":1})"},
                 {"config", "[model]\nname = \"espcn\"\n"},
                 {"data", "00112233445566778899aabbccddeeff"},
                 {"quantized", "1"}};
  save_checkpoint(folder.path("checkpoint", "slots"), store, 0, 1, state);
  state.status.first_fault = 1;
  state.extra["progress"] = R"({"fault":"conv, step 3","last":{"psnr_y":null},"best":{},"best_epoch":-1})";
  save_checkpoint(folder.path("checkpoint", "diverged"), store, 0, 0, state);
  std::vector<std::string> words = kHeaderWords;
  for (const char* word :
       {"format", "gridstep-checkpoint-2", "step", "first_fault", "inexact", "clipped", "clippable", "loss_sum",
        "loss_count", "0x1p+3", "nan", "inf", "progress", "config", "quantized", "module.", "optimizer.0."})
    words.emplace_back(word);
  folder.put_words("checkpoint", words);
}

void write_study_seeds(const Folder& folder) {
  std::vector<std::string> words = key_names();
  for (const std::string& name : shipped_study_names()) folder.put("study", name, shipped_study(name).value());
  folder.put(
      "study", "json",
      R"({"study":{"name":"x"},"model":{"name":"espcn"},"grid":{"optim.name":["adam","sgd"],"train":{"seed":[0,1]}},)"
      R"("rates":{"adam":0.001,"sgd":1e-2},"tune":{"points":3,"seeds":[5],"rates":{"adam":[0.1,1]}}})");
  folder.put("study", "variants",
             "[model]\nname = \"resnet20\"\n[optim]\nlr = 0.1\n[variant.float]\nquant.quantizer = \"none\"\n"
             "[variant.w4]\nstart = \"float\"\nquant.weight_bits = 4\nquant.layers = \"fc=float; layer1.*=4,8\"\n");
  folder.put("study", "sets",
             "--set\noptim.lr=0.1\ngrid.train.seed=0,1\nvariant.a.quant.weight_bits=4\nrates.adam=0.001\n"
             "tune.rates.adam=[0.1,1]\ngrid.schedule.milestones=[[1,2],[3]]\n");
  for (const char* word : {"grid.", "variant.", "rates.", "tune.", "start", "points", "seeds", "[grid]", "[rates]",
                           "--set\\x0A", "true", "inf", "nan", "9223372036854775807", "1e308", "adam", "lsq", "espcn"})
    words.emplace_back(word);
  folder.put_words("study", words);
}

}  // namespace
}  // namespace gridstep::fuzz

int main(int argc, char** argv) {
  using namespace gridstep::fuzz;
  if (argc != 2 || argv[1][0] == '-') {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  try {
    const Folder folder{gridstep::fs::path(argv[1])};
    for (const auto write : {write_png_seeds, write_jpeg_seeds, write_cifar10_seeds, write_list_seeds, write_pack_seeds,
                             write_safetensors_seeds, write_checkpoint_seeds, write_study_seeds})
      write(folder);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
  return 0;
}
