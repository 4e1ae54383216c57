// The CUDA runtime, as far as the plug-in calls it, on the CPU: one GPU whose kernels are the harness's, for one host
// thread. Work waits in its stream until the host waits, and runs then; a captured graph keeps the work with the
// arguments that it had. That is harsher than a GPU: a host that looks too early, or changes what an asynchronous copy
// has yet to read, is wrong every time. Work that fails leaves an error that the calls on memory and streams return.
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <set>
#include <utility>
#include <vector>

#include "gpu_memory.h"
#include "library_memory.h"
#include "tests/simt/stream.h"

struct CUgraph_st {
  std::vector<simt::Work> work;
};
struct CUgraphExec_st {
  std::vector<simt::Work> work;
};

namespace {

struct Runtime {
  simt::GpuMemory memory;
  std::set<cudaStream_t> streams;
  cudaError_t fault = cudaSuccess;

  // What cannot be captured was called: whether a capture went on, which is broken now.
  bool break_captures() {
    bool broken = false;
    for (const cudaStream_t stream : streams) {
      if (stream->capture == simt::Capture::kNone) continue;
      stream->capture = simt::Capture::kInvalid;
      broken = true;
    }
    return broken;
  }

  cudaError_t finish(cudaStream_t stream) {
    const std::vector<simt::Work> work = std::exchange(stream->waiting, {});
    if (work.empty()) return fault;
    try {
      const simt::GpuMemory::Open open(memory);
      for (const simt::Work& item : work) item();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "emulated GPU: %s\n", error.what());
      fault = cudaErrorLaunchFailure;
    }
    return fault;
  }
};

Runtime& runtime() {
  static Runtime& one = *new Runtime;  // never destroyed: streams may be asked for at exit
  return one;
}

cudaError_t last_error = cudaSuccess;

cudaError_t noted(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

// A call, refused once work has failed.
template <class F>
cudaError_t call(F&& body) {
  Runtime& r = runtime();
  return noted(r.fault != cudaSuccess ? r.fault : body(r));
}

template <class F>
cudaError_t on_stream(cudaStream_t stream, F&& body) {
  return call([&](Runtime& r) { return r.streams.count(stream) == 0 ? cudaErrorInvalidResourceHandle : body(r); });
}

}  // namespace

bool simt::on_gpu(const void* p, std::size_t size) { return runtime().memory.holds(p, size); }

extern "C" {

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = runtime().fault;
  return error;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    default:
      return "an error";
  }
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }

cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int* ordinal) { return *ordinal = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int ordinal) { return noted(ordinal == 0 ? cudaSuccess : cudaErrorInvalidDevice); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "emulated GPU");
  properties->totalGlobalMem = runtime().memory.total();
  properties->major = 8;
  properties->multiProcessorCount = 1;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return call([&](Runtime& r) {
    *free = r.memory.free();
    *total = r.memory.total();
    return cudaSuccess;
  });
}

cudaError_t cudaMalloc(void** p, std::size_t size) {
  return call([&](Runtime& r) {
    if (r.break_captures()) return cudaErrorStreamCaptureUnsupported;
    *p = r.memory.allocate(size);
    return *p == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
  });
}

// Waits for the GPU, as the runtime does.
cudaError_t cudaFree(void* p) {
  return call([&](Runtime& r) {
    if (p == nullptr) return cudaSuccess;
    if (r.break_captures()) return cudaErrorStreamCaptureUnsupported;
    for (const cudaStream_t stream : r.streams) {
      if (const cudaError_t error = r.finish(stream); error != cudaSuccess) return error;
    }
    return r.memory.release(p) ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaHostAlloc(void** p, std::size_t size, unsigned) {
  return call([&](Runtime& r) {
    if (r.break_captures()) return cudaErrorStreamCaptureUnsupported;
    *p = std::malloc(size);
    return *p == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
  });
}
cudaError_t cudaFreeHost(void* p) { return std::free(p), cudaSuccess; }

cudaError_t cudaMemsetAsync(void* p, int value, std::size_t size, cudaStream_t stream) {
  return on_stream(stream, [&](Runtime& r) {
    if (size == 0) return cudaSuccess;
    if (!r.memory.holds(p, size)) return cudaErrorInvalidValue;
    stream->add([=] { std::memset(p, value, size); });
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
  return on_stream(stream, [&](Runtime& r) {
    if (size == 0) return cudaSuccess;
    const bool to_gpu = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_gpu = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    const auto fits = [&](const void* p, bool gpu) { return gpu ? r.memory.holds(p, size) : !r.memory.holds(p); };
    if (!fits(to, to_gpu) || !fits(from, from_gpu)) return cudaErrorInvalidValue;
    stream->add([=] { std::memcpy(to, from, size); });
    return cudaSuccess;
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return call([&](Runtime& r) {
    r.streams.insert(*stream = new CUstream_st);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return on_stream(stream, [&](Runtime& r) {
    const cudaError_t error = r.finish(stream);
    r.streams.erase(stream);
    delete stream;
    return error;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return on_stream(
      stream, [&](Runtime& r) { return r.break_captures() ? cudaErrorStreamCaptureUnsupported : r.finish(stream); });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  return on_stream(stream, [&](Runtime&) {
    if (stream->capture != simt::Capture::kNone) return cudaErrorInvalidValue;
    stream->capture = simt::Capture::kActive;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return on_stream(stream, [&](Runtime&) {
    const bool valid = std::exchange(stream->capture, simt::Capture::kNone) == simt::Capture::kActive;
    std::vector<simt::Work> work = std::exchange(stream->captured, {});
    *graph = valid ? new CUgraph_st{std::move(work)} : nullptr;
    return valid ? cudaSuccess : cudaErrorStreamCaptureInvalidated;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  return call([&](Runtime&) { return *executable = new CUgraphExec_st{graph->work}, cudaSuccess; });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) { return delete executable, cudaSuccess; }

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return on_stream(stream, [&](Runtime&) {
    for (const simt::Work& work : executable->work) stream->add(work);
    return cudaSuccess;
  });
}

}  // extern "C"
