// A CUDA graph captured from a stream: many launches that the GPU runs without the host in between.
#pragma once

#include <cuda_runtime.h>

#include "engine/base/error.h"
#include "engine/device/cuda/cuda_error.h"

namespace gridstep {

class CudaGraph {
 public:
  CudaGraph() = default;
  ~CudaGraph() {
    if (executable_ != nullptr) (void)cudaGraphExecDestroy(executable_);
  }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  bool captured() const { return executable_ != nullptr; }

  // Captures what `enqueue` puts into the stream, and runs none of it. Whatever cannot be captured (an allocation, a
  // synchronisation) throws DeviceError and leaves the stream usable.
  template <class F>
  void capture(cudaStream_t stream, F&& enqueue) {
    GS_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
      enqueue();
    } catch (...) {
      (void)cudaStreamEndCapture(stream, &graph);
      if (graph != nullptr) (void)cudaGraphDestroy(graph);
      (void)cudaGetLastError();
      throw;
    }
    GS_CUDA(cudaStreamEndCapture(stream, &graph));
    const cudaError_t error = cudaGraphInstantiate(&executable_, graph, 0);
    (void)cudaGraphDestroy(graph);
    GS_CUDA(error);
  }

  void launch(cudaStream_t stream) { GS_CUDA(cudaGraphLaunch(executable_, stream)); }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace gridstep
