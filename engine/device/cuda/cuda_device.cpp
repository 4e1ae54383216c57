#include "engine/device/cuda/cuda_device.h"

#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>

#include <memory>
#include <optional>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/device/cuda/cuda_error.h"
#include "engine/device/cuda/cuda_graph.h"
#include "engine/device/cuda/cuda_libraries.h"
#include "engine/device/cuda/pinned_ring.h"

namespace gridstep {
namespace {

constexpr double kMebibyte = 1024.0 * 1024.0;

class NvtxRange {
 public:
  explicit NvtxRange(const char* label) { nvtxRangePushA(label); }
  ~NvtxRange() { nvtxRangePop(); }
  NvtxRange(const NvtxRange&) = delete;
  NvtxRange& operator=(const NvtxRange&) = delete;
};

void enqueue(const std::vector<Launch>& launches) {
  for (const Launch& launch : launches) {
    const NvtxRange range(launch.label.c_str());
    try {
      launch.run({});
    } catch (const DeviceError& error) {
      fail<DeviceError>("{}: {}", launch.label, error.what());
    }
  }
}

// The first run is eager: kernels are loaded and libraries warmed up outside the capture. The second captures; all
// further ones are one graph launch each.
class CapturedReplay final : public Replay {
 public:
  CapturedReplay(int ordinal, cudaStream_t stream, std::vector<Launch> launches)
      : ordinal_(ordinal), stream_(stream), launches_(std::move(launches)) {}

  void run() override {
    GS_CUDA(cudaSetDevice(ordinal_));
    if (!warm_) {
      enqueue(launches_);
      warm_ = true;
      return;
    }
    if (!graph_.captured()) capture();
    const NvtxRange range("captured step");
    graph_.launch(stream_);
  }

 private:
  void capture() {
    try {
      graph_.capture(stream_, [this] { enqueue(launches_); });
    } catch (const DeviceError& error) {
      fail<DeviceError>(
          "the step cannot be captured as a CUDA graph: {}; --set run.capture=off runs it launch by launch",
          error.what());
    }
  }

  int ordinal_;
  cudaStream_t stream_;
  std::vector<Launch> launches_;
  CudaGraph graph_;
  bool warm_ = false;
};

template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* p) const {
    (void)destroy(p);
  }
};
using StreamHandle = std::unique_ptr<CUstream_st, Destroy<cudaStreamDestroy>>;
using CudnnHandle = std::unique_ptr<cudnnContext, Destroy<cudnnDestroy>>;
using CublasHandle = std::unique_ptr<cublasContext, Destroy<cublasDestroy>>;

// The libraries' handles are made with the device: what they take is then not counted as available memory, and no
// capture meets them half made.
class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int ordinal) : ordinal_(ordinal) {
    int count = 0;
    GS_CUDA(cudaGetDeviceCount(&count));
    if (ordinal < 0 || ordinal >= count) fail<DeviceError>("there is no GPU number {}: {} can be seen", ordinal, count);
    GS_CUDA(cudaGetDeviceProperties(&properties_, ordinal));
    if (properties_.major < 8) {
      fail<DeviceError>("GPU {} ({}) has compute capability {}.{}; 8.0 is the least that is supported", ordinal,
                        properties_.name, properties_.major, properties_.minor);
    }
    make_current();
    cudaStream_t stream = nullptr;
    GS_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    stream_.reset(stream);
    ring_.emplace(stream);
    make_cudnn();
    make_cublas();
  }

  ~CudaDevice() override {
    (void)cudaSetDevice(ordinal_);
    if (const cudaError_t error = cudaStreamSynchronize(stream()); error != cudaSuccess) {
      log_warn("GPU {} ends with an error: {}", ordinal_, cudaGetErrorString(error));
    }
  }

  DeviceKind kind() const override { return DeviceKind::kCuda; }

  std::string describe() const override {
    int driver = 0, runtime = 0;
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    return fmt::format("{}, {:.0f} GiB, compute capability {}.{}, CUDA {}.{}, driver for {}.{}", properties_.name,
                       static_cast<double>(properties_.totalGlobalMem) / (1024.0 * kMebibyte), properties_.major,
                       properties_.minor, runtime / 1000, runtime % 1000 / 10, driver / 1000, driver % 1000 / 10);
  }

  std::byte* allocate(Bytes size) override {
    make_current();
    void* p = nullptr;
    const cudaError_t error = cudaMalloc(&p, static_cast<std::size_t>(size > 0 ? size : 1));
    if (error == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      fail<DeviceError>("GPU {} has no room for {:.1f} MiB: {:.1f} MiB are free", ordinal_,
                        static_cast<double>(size) / kMebibyte, static_cast<double>(available_bytes()) / kMebibyte);
    }
    GS_CUDA(error);
    return static_cast<std::byte*>(p);
  }

  void release(std::byte* p) noexcept override {
    if (const cudaError_t error = cudaFree(p); error != cudaSuccess) {
      log_warn("GPU {}: releasing memory failed: {}", ordinal_, cudaGetErrorString(error));
    }
  }

  Bytes available_bytes() const override {
    make_current();
    std::size_t free_bytes = 0, total = 0;
    GS_CUDA(cudaMemGetInfo(&free_bytes, &total));
    return static_cast<Bytes>(free_bytes);
  }

  void fill(std::byte* p, int value, Bytes size) override {
    make_current();
    GS_CUDA(cudaMemsetAsync(p, value, static_cast<std::size_t>(size), stream()));
  }

  void upload(std::byte* to, const void* from, Bytes size) override {
    if (size == 0) return;
    make_current();
    if (size <= PinnedRing::kLargestPiece) {
      ring_->upload(to, from, size);
      return;
    }
    GS_CUDA(cudaMemcpyAsync(to, from, static_cast<std::size_t>(size), cudaMemcpyHostToDevice, stream()));
    GS_CUDA(cudaStreamSynchronize(stream()));  // `from` may be reused at once
  }

  void download(void* to, const std::byte* from, Bytes size) override {
    if (size == 0) return;
    make_current();
    GS_CUDA(cudaMemcpyAsync(to, from, static_cast<std::size_t>(size), cudaMemcpyDeviceToHost, stream()));
    synchronize();
  }

  void run(const std::vector<Launch>& launches, int, Bytes) override {
    make_current();
    enqueue(launches);
  }

  std::unique_ptr<Replay> prepare(std::vector<Launch> launches, int replicas, Bytes scratch_bytes,
                                  bool capture) override {
    if (!capture) return Device::prepare(std::move(launches), replicas, scratch_bytes, false);
    return std::make_unique<CapturedReplay>(ordinal_, stream(), std::move(launches));
  }

  void copy(std::byte* to, const std::byte* from, Bytes size) override {
    make_current();
    GS_CUDA(cudaMemcpyAsync(to, from, static_cast<std::size_t>(size), cudaMemcpyDeviceToDevice, stream()));
  }

  void synchronize() override {
    make_current();
    const cudaError_t error = cudaStreamSynchronize(stream());
    if (error == cudaSuccess) return;
    (void)cudaGetLastError();
    fail<DeviceError>(
        "GPU {} stopped with CUDA error {} ({}): {}; CUDA_LAUNCH_BLOCKING=1 in the environment names the launch",
        ordinal_, static_cast<int>(error), cudaGetErrorName(error), cudaGetErrorString(error));
  }

  cudaStream_t stream() const { return stream_.get(); }
  cudnnHandle_t cudnn() const { return cudnn_.get(); }
  cublasHandle_t cublas() const { return cublas_.get(); }

 private:
  void make_current() const { GS_CUDA(cudaSetDevice(ordinal_)); }

  void make_cudnn() {
    cudnnHandle_t handle = nullptr;
    GS_CUDNN(cudnnCreate(&handle));
    cudnn_.reset(handle);
    GS_CUDNN(cudnnSetStream(handle, stream()));
  }

  void make_cublas() {
    constexpr Bytes kWorkspace = Bytes{32} << 20;  // what cuBLAS itself takes on Hopper
    cublasHandle_t handle = nullptr;
    cublas_workspace_ = Buffer(*this, kWorkspace);
    GS_CUBLAS(cublasCreate(&handle));
    cublas_.reset(handle);
    GS_CUBLAS(cublasSetStream(handle, stream()));
    GS_CUBLAS(cublasSetWorkspace(handle, cublas_workspace_.data(), static_cast<std::size_t>(kWorkspace)));
    GS_CUBLAS(cublasSetMathMode(handle, CUBLAS_PEDANTIC_MATH));
  }

  int ordinal_;
  cudaDeviceProp properties_{};
  StreamHandle stream_;
  std::optional<PinnedRing> ring_;
  Buffer cublas_workspace_;
  CudnnHandle cudnn_;
  CublasHandle cublas_;
};

CudaDevice& as_cuda(Device& device) {
  auto* const cuda = dynamic_cast<CudaDevice*>(&device);
  GS_CHECK(cuda != nullptr, "a launch for cuda is recorded for the device '{}'", name_of(device.kind()));
  return *cuda;
}

}  // namespace

std::unique_ptr<Device> make_cuda_device(int ordinal) { return std::make_unique<CudaDevice>(ordinal); }

cudaStream_t cuda_stream(Device& device) { return as_cuda(device).stream(); }
cudnnHandle_t cudnn_handle(Device& device) { return as_cuda(device).cudnn(); }
cublasHandle_t cublas_handle(Device& device) { return as_cuda(device).cublas(); }

}  // namespace gridstep
