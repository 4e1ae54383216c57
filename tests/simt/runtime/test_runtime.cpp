// That the emulated CUDA runtime finds what it is there to find.
#include "engine/device/cuda/cuda_compat.h"
// After the harness's names.
#include <cuda_runtime_api.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <vector>

#include "tests/support/catch.h"

namespace {

__global__ void add_kernel(int* values, int number) { values[threadIdx.x] += number; }
__global__ void diverging_kernel() {
  if (threadIdx.x % 2 == 0) __syncthreads();
}

constexpr int kCount = 8;
constexpr std::size_t kBytes = kCount * sizeof(int);

struct Gpu {
  cudaStream_t stream = nullptr;
  int* values = nullptr;

  Gpu() {
    REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudaMalloc(reinterpret_cast<void**>(&values), kBytes) == cudaSuccess);
    REQUIRE(cudaMemsetAsync(values, 0, kBytes, stream) == cudaSuccess);
  }
  ~Gpu() {
    (void)cudaFree(values);
    (void)cudaStreamDestroy(stream);
  }
  void add(int number) const { gridstep::launch(add_kernel, dim3(1), dim3(kCount), 0, stream, values, number); }
  std::vector<int> read() const {
    std::vector<int> host(kCount);
    REQUIRE(cudaMemcpyAsync(host.data(), values, kBytes, cudaMemcpyDeviceToHost, stream) == cudaSuccess);
    REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
    return host;
  }
};

// How a child process that runs `body` ends: 0 well, above 0 the signal, -1 badly (a requirement failed).
int end_of(const std::function<void()>& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    (void)std::signal(SIGSEGV, SIG_DFL);  // not Catch's handler
    try {
      body();
    } catch (...) {
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) == 0 ? 0 : -1;
}

}  // namespace

TEST_CASE("a host that touches GPU memory dies, as does work that leaves its allocation") {
  const Gpu gpu;
  CHECK(gpu.read() == std::vector<int>(kCount, 0));
  CHECK(end_of([&] { gpu.values[0] = 1; }) == SIGSEGV);
  CHECK(end_of([&] { (void)*const_cast<volatile int*>(gpu.values); }) == SIGSEGV);
  CHECK(end_of([&] { (void)gpu.read(); }) == 0);
  CHECK(end_of([&] { REQUIRE(gpu.read()[0] == 1); }) == -1);
  CHECK(end_of([&] {
          gridstep::launch(add_kernel, dim3(1), dim3(kCount), 0, gpu.stream, gpu.values + 256 / sizeof(int), 1);
          (void)cudaStreamSynchronize(gpu.stream);
        }) == SIGSEGV);
}

TEST_CASE("memory that nothing wrote holds no zeros, and no more is given than there is") {
  const Gpu gpu;
  void *fresh = nullptr, *huge = nullptr;
  REQUIRE(cudaMalloc(&fresh, kBytes) == cudaSuccess);
  std::vector<int> host(kCount);
  REQUIRE(cudaMemcpyAsync(host.data(), fresh, kBytes, cudaMemcpyDeviceToHost, gpu.stream) == cudaSuccess);
  REQUIRE(cudaStreamSynchronize(gpu.stream) == cudaSuccess);
  CHECK(host == std::vector<int>(kCount, -1));
  REQUIRE(cudaFree(fresh) == cudaSuccess);
  CHECK(cudaFree(fresh) == cudaErrorInvalidValue);
  std::size_t free = 0, total = 0;
  REQUIRE(cudaMemGetInfo(&free, &total) == cudaSuccess);
  CHECK(cudaMalloc(&huge, total) == cudaErrorMemoryAllocation);
  (void)cudaGetLastError();
}

TEST_CASE("work waits for the host to wait") {
  const Gpu gpu;
  std::vector<int> host(kCount, 1), got(kCount, -1);
  REQUIRE(cudaMemcpyAsync(gpu.values, host.data(), kBytes, cudaMemcpyHostToDevice, gpu.stream) == cudaSuccess);
  host.assign(kCount, 2);  // too early: the copy is made later
  REQUIRE(cudaMemcpyAsync(got.data(), gpu.values, kBytes, cudaMemcpyDeviceToHost, gpu.stream) == cudaSuccess);
  CHECK(got == std::vector<int>(kCount, -1));
  REQUIRE(cudaStreamSynchronize(gpu.stream) == cudaSuccess);
  CHECK(got == std::vector<int>(kCount, 2));
}

TEST_CASE("a captured graph keeps the arguments that its launches had, and runs none of them before it is launched") {
  const Gpu gpu;
  int number = 5;
  REQUIRE(cudaStreamBeginCapture(gpu.stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  gpu.add(number);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  REQUIRE(cudaStreamEndCapture(gpu.stream, &graph) == cudaSuccess);
  REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  REQUIRE(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(gpu.read()[0] == 0);
  number = 7;
  for (int i = 0; i < 3; ++i) REQUIRE(cudaGraphLaunch(executable, gpu.stream) == cudaSuccess);
  CHECK(gpu.read() == std::vector<int>(kCount, 15));
  REQUIRE(cudaGraphExecDestroy(executable) == cudaSuccess);
}

TEST_CASE("allocations and waits end a capture") {
  const Gpu gpu;
  for (const bool wait : {false, true}) {
    REQUIRE(cudaStreamBeginCapture(gpu.stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    void* more = nullptr;
    CHECK((wait ? cudaStreamSynchronize(gpu.stream) : cudaMalloc(&more, 1)) == cudaErrorStreamCaptureUnsupported);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamEndCapture(gpu.stream, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
    CHECK(cudaGetLastError() == cudaErrorStreamCaptureInvalidated);
    CHECK(cudaGetLastError() == cudaSuccess);
    CHECK(gpu.read()[0] == 0);  // the stream can be used
  }
}

TEST_CASE("copies between the wrong kinds of memory, or past their end, are refused") {
  const Gpu gpu;
  std::vector<int> host(2 * kCount);
  const auto copy = [&](void* to, const void* from, std::size_t size, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, size, kind, gpu.stream);
  };
  CHECK(copy(gpu.values, host.data(), kBytes + 1, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(copy(gpu.values + 1, host.data(), kBytes, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(copy(host.data(), host.data() + kCount, kBytes, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(copy(gpu.values, gpu.values, kBytes, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(copy(gpu.values + 1, host.data(), kBytes - sizeof(int), cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemsetAsync(gpu.values, 0, kBytes + 1, gpu.stream) == cudaErrorInvalidValue);
}

TEST_CASE("a kernel that fails leaves an error that stays") {
  CHECK(end_of([] {
          const Gpu gpu;
          gridstep::launch(diverging_kernel, dim3(1), dim3(32), 0, gpu.stream);
          REQUIRE(cudaStreamSynchronize(gpu.stream) == cudaErrorLaunchFailure);
          REQUIRE(cudaGetLastError() == cudaErrorLaunchFailure);
          REQUIRE(cudaMemsetAsync(gpu.values, 0, 1, gpu.stream) == cudaErrorLaunchFailure);
        }) == 0);
}
