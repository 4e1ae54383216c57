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

// One loop per width of vector, each compiled for its instruction set: oneDNN picks its kernels at run time too.
#define GS_BURN_LOOP(Vector, splat, multiply_add)                          \
  Vector sum[kChains];                                                     \
  for (int c = 0; c < kChains; ++c) sum[c] = splat(static_cast<float>(c)); \
  const Vector a = splat(0.999999f), b = splat(1e-6f);                     \
  for (int i = 0; i < kRounds; ++i) {                                      \
    for (Vector & s : sum) s = multiply_add(s, a, b);                      \
  }                                                                        \
  Vector total = splat(0.0f);                                              \
  for (const Vector& s : sum) total = total + s;                           \
  float lanes[sizeof(Vector) / sizeof(float)];                             \
  std::memcpy(lanes, &total, sizeof lanes);                                \
  return lanes[0]

struct Burner {
  float (*burn)();
  int lanes;
};

#if defined(__FMA__)
__attribute__((target("avx512f"))) float burn_512() { GS_BURN_LOOP(__m512, _mm512_set1_ps, _mm512_fmadd_ps); }
float burn_256() { GS_BURN_LOOP(__m256, _mm256_set1_ps, _mm256_fmadd_ps); }

Burner burner() { return __builtin_cpu_supports("avx512f") ? Burner{&burn_512, 16} : Burner{&burn_256, 8}; }
#else
using Vector4 = float __attribute__((vector_size(16)));
Vector4 splat4(float v) { return Vector4{} + v; }
Vector4 multiply_add4(Vector4 a, Vector4 b, Vector4 c) { return a * b + c; }
float burn_128() { GS_BURN_LOOP(Vector4, splat4, multiply_add4); }

Burner burner() { return {&burn_128, 4}; }
#endif

#undef GS_BURN_LOOP

}  // namespace

double fma_peak_gflops(int threads) {
  double best = 0.0;
  const Burner burner_here = burner();
  for (int run = 0; run < 3; ++run) {
    std::vector<float> sinks(static_cast<std::size_t>(threads));
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> pool;
    pool.reserve(static_cast<std::size_t>(threads));
    for (int t = 0; t < threads; ++t)
      pool.emplace_back([&, t] { sinks[static_cast<std::size_t>(t)] = burner_here.burn(); });
    for (std::thread& t : pool) t.join();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    volatile float keep = sinks.front();
    (void)keep;
    best = std::max(best, 2.0 * burner_here.lanes * kChains * kRounds * threads / seconds.count() * 1e-9);
  }
  return best;
}

}  // namespace gridstep
