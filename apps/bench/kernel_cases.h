// The kernels that `gridstep-bench kernels` times: one case is one kernel on data of one size, in memory of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/graph/program.h"

namespace gridstep::bench {

struct KernelCase {
  std::unique_ptr<ParameterStore> store;
  std::unique_ptr<Program> program;  // null for kernels that are not ops
  std::vector<Buffer> buffers;
  std::vector<Launch> launches;  // of the kernel alone
  Bytes scratch_bytes = 0;
  double bytes = 0.0;  // that one copy must read and write
};

struct KernelFamily {
  std::string name;  // "quantize", "adam"
  // `elements` of float32 (the size of the largest operand), `copies` in memory one behind the other.
  std::function<KernelCase(Device& device, Index elements, int copies)> make;
};

const std::vector<KernelFamily>& kernel_families();

}  // namespace gridstep::bench
