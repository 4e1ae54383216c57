// The rate at which the device copies its own memory: what kernels bound by memory are judged by.
#pragma once

#include "apps/bench/timing.h"

namespace gridstep::bench {

// A launch that copies `bytes`, cut into as many tasks as the device has threads.
Launch copy_launch(Device& device, std::byte* to, const std::byte* from, Bytes bytes);

// Bytes read plus bytes written, GB/s, of a copy far larger than the caches.
double copy_bandwidth(Device& device, const TimingOptions& options);

}  // namespace gridstep::bench
