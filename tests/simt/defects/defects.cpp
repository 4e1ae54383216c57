#include "defects.h"

#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <vector>

#include "engine/device/cuda/ptx.cuh"

namespace gridstep::test {
namespace {

// ---- order -----------------------------------------------------------------------------------------------------

__global__ void sound_kernel(int* out) {
  SHARED(s, int[256]);
  s[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = s[255 - threadIdx.x];
}
__global__ void missing_barrier_kernel(int* out) {
  SHARED(s, int[256]);
  s[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[threadIdx.x] = s[255 - threadIdx.x];
}
__global__ void overwritten_kernel(int* out) {  // no barrier before `s` is written again
  SHARED(s, int[256]);
  int sum = 0;
  for (int i = 0; i < 4; ++i) {
    s[threadIdx.x] = static_cast<int>(threadIdx.x) + i;
    __syncthreads();
    sum += s[(threadIdx.x + 64) % 256];
  }
  out[threadIdx.x] = sum;
}
__global__ void missing_syncwarp_kernel(int* out) {
  SHARED(s, int[32]);
  s[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[threadIdx.x] = s[threadIdx.x ^ 1u];
}
__global__ void same_value_kernel(const float* x, float* out) {  // the writers race, with one value
  SHARED(any, int);
  if (threadIdx.x == 0) any = 0;
  __syncthreads();
  if (x[threadIdx.x] > 0.0f) any = 1;
  __syncthreads();
  out[threadIdx.x] = any != 0 ? 3.0f : 0.0f;
}
__global__ void block_counter_kernel(int* count) {  // not atomic
  if (threadIdx.x == 0) *count = *count + 1;
}
// The block that finishes last adds up what all wrote.
template <bool kFences>
__global__ void last_block_kernel(const float* x, float* partial, unsigned* arrived, float* out) {
  SHARED(last, bool);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = x[blockIdx.x];
    if (kFences) __threadfence();
    last = atomicInc(arrived, gridDim.x - 1) == gridDim.x - 1;
    if (kFences) __threadfence();
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  float sum = 0.0f;
  for (unsigned i = 0; i < gridDim.x; ++i) sum += partial[i];
  *out = sum;
}
__global__ void float_atomics_kernel(const float* x, float* out) { atomicAdd(out, x[blockIdx.x * 128 + threadIdx.x]); }
__global__ void spin_kernel(unsigned* flag) {  // block 0 waits for block 1
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    while (atomicAdd(flag, 0u) == 0u) {
    }
  }
  if (blockIdx.x == 1 && threadIdx.x == 0) atomicExch(flag, 1u);
}
template <bool kWaits>
__global__ void copies_kernel(const int* x, int* out) {
  SHARED(s, int[32]);
  ptx::cp_async4(&s[threadIdx.x], x + threadIdx.x);
  ptx::cp_async_commit();
  if (kWaits) ptx::cp_async_wait<0>();
  __syncthreads();
  out[threadIdx.x] = s[31 - threadIdx.x];
}
__global__ void early_copy_kernel(const int* x, int* out) {  // the next tile goes where others still read
  SHARED(s, int[32]);
  int sum = 0;
  ptx::cp_async4(&s[threadIdx.x], x + threadIdx.x);
  ptx::cp_async_commit();
  for (int tile = 0; tile < 2; ++tile) {
    ptx::cp_async_wait<0>();
    __syncthreads();
    if (tile == 0) {
      ptx::cp_async4(&s[threadIdx.x], x + 32 + threadIdx.x);
      ptx::cp_async_commit();
    }
    sum += s[31 - threadIdx.x];
  }
  out[threadIdx.x] = sum;
}

// ---- rendezvous ------------------------------------------------------------------------------------------------

__global__ void divergent_barrier_kernel() {
  if (threadIdx.x < 128) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ void early_exit_kernel() {
  if (threadIdx.x >= 200) return;
  __syncthreads();
}
__global__ void absent_lane_kernel(int* out) {
  int v = 1;
  if (threadIdx.x % 2 == 0) v += __shfl_xor_sync(0xffffffffu, v, 2);
  out[threadIdx.x] = v;
}
__global__ void exited_lane_kernel(int* out) {
  if (threadIdx.x >= 50) return;
  out[threadIdx.x] = __shfl_down_sync(0xffffffffu, 1, 1);
}
__global__ void divergent_warp_kernel(int* out) {
  int v = static_cast<int>(threadIdx.x);
  if (threadIdx.x < 16) {
    v = __shfl_xor_sync(0xffffffffu, v, 1);
  } else {
    v = __shfl_down_sync(0xffffffffu, v, 1);
  }
  out[threadIdx.x] = v;
}

// ---- memory ----------------------------------------------------------------------------------------------------

__global__ void beyond_static_kernel(int* out, unsigned shift) {
  SHARED(s, int[256]);
  int* const p = s;
  p[threadIdx.x + shift] = 1;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}
__global__ void beyond_dynamic_kernel(int* out, unsigned shift) {
  DYN_SHARED(int, s);
  s[threadIdx.x + shift] = 1;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}
__global__ void beyond_global_kernel(const int* x, int* out, unsigned n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) out[i] = x[i];
}
__global__ void misaligned_kernel(const float* x, float* out) {
  const float4 v = *reinterpret_cast<const float4*>(x + threadIdx.x * 4);
  out[threadIdx.x] = v.x + v.w;
}
__global__ void overflow_kernel(int* out, int big) {
  const int i = static_cast<int>(threadIdx.x) * big * 4;
  out[threadIdx.x] = i < 0 ? 1 : 0;
}
__global__ void unset_float_kernel(float* out) {
  SHARED(s, float[64]);
  if (threadIdx.x != 7) s[threadIdx.x] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}
__global__ void unset_code_kernel(signed char* out) {  // wrong by chance only: -1 is what is wanted
  DYN_SHARED(signed char, s);
  if (threadIdx.x != 7) s[threadIdx.x] = -1;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}
__global__ void unset_global_kernel(float* scratch, float* out) {
  if (threadIdx.x != 7) scratch[threadIdx.x] = 1.0f;
  out[threadIdx.x] = scratch[threadIdx.x];
}
__global__ void deep_stack_kernel(float* out) {
  volatile float big[100000];
  for (int i = 0; i < 100000; ++i) big[i] = 1.0f;
  out[threadIdx.x] = big[threadIdx.x];
}

// ---- their inputs ----------------------------------------------------------------------------------------------

// Exactly n elements, as a sanitizer must see them, poisoned.
template <class T>
class Array {
 public:
  explicit Array(std::size_t n) : n_(n), data_(static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{256}))) {
    std::memset(static_cast<void*>(data_.get()), simt::fill_byte(), n * sizeof(T));
  }
  Array(std::initializer_list<T> values) : Array(values.size()) { std::copy(values.begin(), values.end(), get()); }
  T* get() const { return data_.get(); }
  template <class F>
  bool equals(F want) const {
    for (std::size_t i = 0; i < n_; ++i) {
      if (data_[i] != static_cast<T>(want(i))) return false;
    }
    return true;
  }

 private:
  struct Release {
    void operator()(T* p) const { ::operator delete (p, std::align_val_t{256}); }
  };
  std::size_t n_;
  std::unique_ptr<T[], Release> data_;
};

template <class T>
Array<T> counting(std::size_t n) {
  Array<T> values(n);
  std::iota(values.get(), values.get() + n, T(1));
  return values;
}

template <class... P, class... A>
void launch_one(void (*kernel)(P...), unsigned blocks, unsigned threads, std::size_t shared_bytes, A... arguments) {
  simt::launch(kernel, dim3(blocks), dim3(threads), shared_bytes, arguments...);
}

bool reversed(void (*kernel)(int*)) {
  Array<int> out(256);
  launch_one(kernel, 1, 256, 0, out.get());
  return out.equals([](std::size_t i) { return 255 - i; });
}

template <bool kFences>
bool last_block() {
  const auto x = counting<float>(4);
  Array<float> partial(4), out(1);
  Array<unsigned> arrived{0u};
  launch_one(last_block_kernel<kFences>, 4, 64, 0, x.get(), partial.get(), arrived.get(), out.get());
  return out.equals([](std::size_t) { return 10; });
}

template <bool kWaits>
bool copies() {
  const auto x = counting<int>(32);
  Array<int> out(32);
  launch_one(copies_kernel<kWaits>, 1, 32, 0, x.get(), out.get());
  return out.equals([](std::size_t i) { return 32 - i; });
}

template <class T>
bool one_block(void (*kernel)(T*), unsigned threads, std::size_t shared_bytes, T want) {
  Array<T> out(threads);
  launch_one(kernel, 1, threads, shared_bytes, out.get());
  return out.equals([&](std::size_t) { return want; });
}

bool overwritten() {
  Array<int> out(256);
  launch_one(overwritten_kernel, 1, 256, 0, out.get());
  return out.equals([](std::size_t i) { return (i + 64) % 256 * 4 + 6; });
}
bool missing_syncwarp() {
  Array<int> out(32);
  launch_one(missing_syncwarp_kernel, 1, 32, 0, out.get());
  return out.equals([](std::size_t i) { return i ^ 1; });
}
bool same_value() {
  const auto x = counting<float>(64);
  Array<float> out(64);
  launch_one(same_value_kernel, 1, 64, 0, x.get(), out.get());
  return out.equals([](std::size_t) { return 3; });
}
bool block_counter() {
  Array<int> count{0};
  launch_one(block_counter_kernel, 8, 32, 0, count.get());
  return count.equals([](std::size_t) { return 8; });
}
bool float_atomics() {  // against the sum in the order of the elements
  Array<float> x(512), out{0.0f};
  float sum = 0.0f;
  for (int i = 0; i < 512; ++i) {
    x.get()[i] = 1.0f / static_cast<float>(i + 1);
    sum += x.get()[i];
  }
  launch_one(float_atomics_kernel, 4, 128, 0, x.get(), out.get());
  return out.equals([&](std::size_t) { return sum; });
}
bool spin() {
  Array<unsigned> flag{0u};
  launch_one(spin_kernel, 2, 32, 0, flag.get());
  return true;
}
bool early_copy() {
  const auto x = counting<int>(64);
  Array<int> out(32);
  launch_one(early_copy_kernel, 1, 32, 0, x.get(), out.get());
  return out.equals([](std::size_t i) { return 2 * (32 - i) + 32; });
}
bool no_output(void (*kernel)()) {
  launch_one(kernel, 1, 256, 0);
  return true;
}
bool some_output(void (*kernel)(int*)) {
  Array<int> out(64);
  launch_one(kernel, 1, 64, 0, out.get());
  return true;
}
bool beyond(void (*kernel)(int*, unsigned), std::size_t shared_bytes) {
  Array<int> out(256);
  launch_one(kernel, 1, 256, shared_bytes, out.get(), 1u);
  return true;
}
bool beyond_global() {
  const auto x = counting<int>(300);
  Array<int> out(300);
  launch_one(beyond_global_kernel, 2, 256, 0, x.get(), out.get(), 300u);
  return out.equals([](std::size_t i) { return i + 1; });
}
bool misaligned() {
  const auto x = counting<float>(65);
  Array<float> out(16);
  launch_one(misaligned_kernel, 1, 16, 0, x.get() + 1, out.get());
  return out.equals([](std::size_t i) { return 8 * i + 7; });
}
bool overflow() {
  Array<int> out(64);
  launch_one(overflow_kernel, 1, 64, 0, out.get(), 1 << 25);
  return true;
}
bool unset_global() {
  Array<float> scratch(64), out(64);
  launch_one(unset_global_kernel, 1, 64, 0, scratch.get(), out.get());
  return out.equals([](std::size_t) { return 1; });
}

}  // namespace

const std::map<std::string, Defect>& defects() {
  static const std::map<std::string, Defect> all{
      {"none", [] { return reversed(sound_kernel); }},
      {"none_with_fences", last_block<true>},
      {"none_with_wait", copies<true>},
      {"missing_barrier", [] { return reversed(missing_barrier_kernel); }},
      {"overwritten", overwritten},
      {"missing_syncwarp", missing_syncwarp},
      {"same_value", same_value},
      {"block_counter", block_counter},
      {"missing_fence", last_block<false>},
      {"float_atomics", float_atomics},
      {"spin", spin},
      {"missing_copy_wait", copies<false>},
      {"early_copy", early_copy},
      {"divergent_barrier", [] { return no_output(divergent_barrier_kernel); }},
      {"early_exit", [] { return no_output(early_exit_kernel); }},
      {"absent_lane", [] { return some_output(absent_lane_kernel); }},
      {"exited_lane", [] { return some_output(exited_lane_kernel); }},
      {"divergent_warp", [] { return some_output(divergent_warp_kernel); }},
      {"beyond_static", [] { return beyond(beyond_static_kernel, 0); }},
      {"beyond_dynamic", [] { return beyond(beyond_dynamic_kernel, 1024); }},
      {"beyond_global", beyond_global},
      {"misaligned", misaligned},
      {"overflow", overflow},
      {"unset_float", [] { return one_block(unset_float_kernel, 64, 0, 1.0f); }},
      {"unset_code", [] { return one_block(unset_code_kernel, 64, 64, static_cast<signed char>(-1)); }},
      {"unset_global", unset_global},
      {"deep_stack", [] { return one_block(deep_stack_kernel, 64, 0, 1.0f); }},
  };
  return all;
}

}  // namespace gridstep::test
