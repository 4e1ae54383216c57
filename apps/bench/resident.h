// Memory that a training takes, as the system counts it: on the CPU the growth of the process's peak resident set
// (Linux: VmHWM, after a reset), on CUDA the decrease of the device's free memory.
#pragma once

#include "engine/device/device.h"

namespace gridstep::bench {

class MemoryGrowth {
 public:
  explicit MemoryGrowth(Device& device);  // counts from here
  Bytes so_far() const;                   // 0 where the system does not say

 private:
  Device& device_;
  Bytes before_;
};

}  // namespace gridstep::bench
