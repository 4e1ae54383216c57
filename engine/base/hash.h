// XXH3 checksums (xxHash, 128 and 64 bits): the same value on every machine. Not for security.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gridstep {

using Digest128 = std::array<std::uint8_t, 16>;  // canonical (big-endian) order

std::string hex(const Digest128& digest);

std::uint64_t hash64(std::string_view bytes);
Digest128 hash128(const void* data, std::size_t size);

// Incremental XXH3-128.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void add(const void* data, std::size_t size);
  void add_number(std::uint64_t value);  // little-endian
  void add_text(std::string_view text);  // with its length, so that ("ab", "c") differs from ("a", "bc")
  Digest128 digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gridstep
