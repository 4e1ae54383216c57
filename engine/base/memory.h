// Memory that was freed but that the allocator still holds.
#pragma once

#include <malloc.h>

namespace gridstep {

// Gives it back to the system. After work that took large buffers for a short time, such as a calibration, so that a
// training holds what was planned for it.
inline void release_freed_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace gridstep
