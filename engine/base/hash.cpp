#include "engine/base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace gridstep {
namespace {

Digest128 canonical(XXH128_hash_t hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  Digest128 digest;
  std::copy_n(bytes.digest, digest.size(), digest.begin());
  return digest;
}

}  // namespace

struct Hasher::State {
  XXH3_state_t xxh;  // asks for 64-byte alignment, which new gives
};

Hasher::Hasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh); }
Hasher::~Hasher() = default;

void Hasher::add(const void* data, std::size_t size) { XXH3_128bits_update(&state_->xxh, data, size); }

void Hasher::add_number(std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
  add(bytes.data(), bytes.size());
}

void Hasher::add_text(std::string_view text) {
  add_number(text.size());
  add(text.data(), text.size());
}

Digest128 Hasher::digest() const { return canonical(XXH3_128bits_digest(&state_->xxh)); }

std::string hex(const Digest128& digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::uint64_t hash64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

Digest128 hash128(const void* data, std::size_t size) { return canonical(XXH3_128bits(data, size)); }

}  // namespace gridstep
