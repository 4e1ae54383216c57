// Philox4x32-10 counter-based random numbers (Salmon et al., SC'11).
//
// Every draw is a pure function of (seed, purpose, epoch, index, lane): nothing is stored, so nothing is lost by a
// resume, and results depend neither on the device nor on threads, replicas or the optimizer. Same bits on host and
// device.
#pragma once

#include <cstdint>

#include "engine/base/hd.h"

namespace gridstep {

// What a stream of numbers is for. Values are part of the file format of checkpoints and results: append only.
enum class Purpose : std::uint32_t {
  kInit = 1,         // initial weights; epoch = hash of the parameter's name, index = element / 2
  kSample = 2,       // which photo, where, which orientation; epoch = epoch, index = sample of the epoch
  kPermutation = 3,  // order of an epoch
  kSynthetic = 4,    // synthetic images; epoch = image id
  kAugment = 5,      // crops and mirrors; epoch = epoch, index = sample of the epoch
  kAutoAugment = 6,  // the same of policies of operations
  kTest = 99
};

struct Philox4 {
  std::uint32_t v[4];
};

struct PhiloxKey {
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::kTest;
  std::uint32_t epoch = 0;
};

GS_HD Philox4 philox(PhiloxKey key, std::uint64_t index) {
  std::uint32_t c0 = static_cast<std::uint32_t>(index), c1 = static_cast<std::uint32_t>(index >> 32);
  std::uint32_t c2 = key.epoch, c3 = static_cast<std::uint32_t>(key.purpose);
  std::uint32_t k0 = static_cast<std::uint32_t>(key.seed), k1 = static_cast<std::uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = static_cast<std::uint64_t>(0xD2511F53u) * c0;
    const std::uint64_t p1 = static_cast<std::uint64_t>(0xCD9E8D57u) * c2;
    const std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const std::uint32_t n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<std::uint32_t>(p1);
    c3 = static_cast<std::uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Uniform in [0, 1): 24 bits, exact in float.
GS_HD float uniform01(std::uint32_t u) { return static_cast<float>(u >> 8) * (1.0f / 16777216.0f); }

// Uniform integer in [0, n) by multiply-shift; n > 0. The bias is below n / 2^32.
GS_HD std::uint32_t uniform_below(std::uint32_t u, std::uint32_t n) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(u) * n) >> 32);
}

// Uniform integer in [0, n) from 64 bits; n > 0.
GS_HD std::uint64_t uniform_below64(std::uint32_t hi, std::uint32_t lo, std::uint64_t n) {
  // high word of the 128-bit product, in 32-bit pieces so that host and device share the code
  const std::uint64_t nh = n >> 32, nl = n & 0xffffffffu;
  const std::uint64_t mid = static_cast<std::uint64_t>(hi) * nl + ((static_cast<std::uint64_t>(lo) * nl) >> 32);
  const std::uint64_t mid2 = static_cast<std::uint64_t>(lo) * nh + (mid & 0xffffffffu);
  return static_cast<std::uint64_t>(hi) * nh + (mid >> 32) + (mid2 >> 32);
}

}  // namespace gridstep
