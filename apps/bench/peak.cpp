#include "apps/bench/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#if defined(__FMA__)
#include <immintrin.h>
#endif

namespace gridstep {
namespace {

constexpr int kChains = 12;  // enough to cover the latency of two multiply-add units
constexpr int kRounds = 4'000'000;

#if defined(__AVX512F__)
using Vector = __m512;
constexpr int kLanes = 16;
Vector splat(float v) { return _mm512_set1_ps(v); }
Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
#elif defined(__FMA__)
using Vector = __m256;
constexpr int kLanes = 8;
Vector splat(float v) { return _mm256_set1_ps(v); }
Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
#else
using Vector = float __attribute__((vector_size(16)));
constexpr int kLanes = 4;
Vector splat(float v) { return Vector{} + v; }
Vector multiply_add(Vector a, Vector b, Vector c) { return a * b + c; }
#endif

float burn() {
  Vector sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = splat(static_cast<float>(c));
  const Vector a = splat(0.999999f), b = splat(1e-6f);
  for (int i = 0; i < kRounds; ++i) {
    for (Vector& s : sum) s = multiply_add(s, a, b);
  }
  Vector total = splat(0.0f);
  for (const Vector& s : sum) total = total + s;
  float lanes[kLanes];
  std::memcpy(lanes, &total, sizeof lanes);
  return lanes[0] + lanes[kLanes - 1];
}

}  // namespace

double fma_peak_gflops(int threads) {
  double best = 0.0;
  for (int run = 0; run < 3; ++run) {
    std::vector<float> sinks(static_cast<std::size_t>(threads));
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; ++t) pool.emplace_back([&, t] { sinks[static_cast<std::size_t>(t)] = burn(); });
    for (std::thread& t : pool) t.join();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    volatile float keep = sinks.front();
    (void)keep;
    best = std::max(best, 2.0 * kLanes * kChains * kRounds * threads / seconds.count() * 1e-9);
  }
  return best;
}

}  // namespace gridstep
