// PNG files: as they are; with every CRC set right; and, for bytes that are no PNG, as the rows and palette of a
// picture whose CRCs and zlib stream are right.
#include <zlib.h>

#include <algorithm>
#include <array>

#include "tests/fuzz/check_image.h"

namespace gridstep::fuzz {
namespace {

constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);

std::string big_endian(std::uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
}

std::string crc_of(std::string_view type_and_data) {
  const auto* bytes = reinterpret_cast<const Bytef*>(type_and_data.data());
  return big_endian(static_cast<std::uint32_t>(::crc32(0, bytes, static_cast<uInt>(type_and_data.size()))));
}

std::uint32_t length_at(std::string_view png, std::size_t at) {
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(png[at + i]);
  return length;
}

std::string with_right_crcs(std::string png) {
  std::size_t at = kSignature.size();
  while (at + 12 <= png.size()) {
    const std::size_t length = length_at(png, at);
    if (length > png.size() - at - 12) break;
    png.replace(at + 8 + length, 4, crc_of(std::string_view(png).substr(at + 4, 4 + length)));
    at += 12 + length;
  }
  return png;
}

std::string chunk(std::string_view type, std::string_view data) {
  const std::string body = std::string(type).append(data);
  return big_endian(static_cast<std::uint32_t>(data.size())) + body + crc_of(body);
}

std::string deflated(std::string_view rows) {
  uLongf size = ::compressBound(static_cast<uLong>(rows.size()));
  std::string stream(size, '\0');
  const auto* from = reinterpret_cast<const Bytef*>(rows.data());
  const int result =
      ::compress2(reinterpret_cast<Bytef*>(stream.data()), &size, from, static_cast<uLong>(rows.size()), 1);
  require(result == Z_OK, "zlib compresses");
  stream.resize(size);
  return stream;
}

// Takes bytes from the front.
std::string_view taken(std::string_view& from, std::size_t count) {
  const std::string_view front = from.substr(0, count);
  from.remove_prefix(front.size());
  return front;
}

// Sides, kind, flags, lengths of palette and transparency; these themselves; then the filtered rows.
std::string built(std::string_view bytes) {
  constexpr std::size_t kSettings = 6;
  if (bytes.size() < kSettings) return {};
  const std::string_view settings = taken(bytes, kSettings);
  const auto setting = [&](std::size_t i) { return static_cast<unsigned char>(settings[i]); };
  constexpr std::array<std::array<char, 2>, 16> kKinds{{{0, 1},
                                                        {0, 2},
                                                        {0, 4},
                                                        {0, 8},
                                                        {0, 16},
                                                        {2, 8},
                                                        {2, 16},
                                                        {3, 1},
                                                        {3, 2},
                                                        {3, 4},
                                                        {3, 8},
                                                        {4, 8},
                                                        {4, 16},
                                                        {6, 8},
                                                        {6, 16},
                                                        {1, 8}}};
  const auto [colour, depth] = kKinds[setting(2) % kKinds.size()];
  const bool interlaced = (setting(3) & 1) != 0, palette = (setting(3) & 2) != 0, transparent = (setting(3) & 4) != 0;
  std::string header = big_endian(1 + setting(0) % 40) + big_endian(1 + setting(1) % 40);
  header.append({depth, colour, 0, 0, static_cast<char>(interlaced)});
  std::string png = std::string(kSignature) + chunk("IHDR", header);
  if (palette) png += chunk("PLTE", taken(bytes, 3 * std::size_t{setting(4)}));
  if (transparent) png += chunk("tRNS", taken(bytes, setting(5)));
  return png + chunk("IDAT", deflated(bytes)) + chunk("IEND", {});
}

}  // namespace
}  // namespace gridstep::fuzz

GS_FUZZ_TARGET(png) {
  using namespace gridstep::fuzz;
  check_decoding(input);
  const std::string_view text = text_of(input);
  const std::string mended = text.starts_with(kSignature) ? with_right_crcs(std::string(text)) : built(text);
  check_decoding(bytes_of(mended));
}
