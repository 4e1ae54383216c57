// Work on many pictures with all cores and bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace gridstep {

// Calls work(i) for every i < pixels.size(), several at a time on threads of its own, and take(i) on the calling thread
// in the order of i, after work(i) has returned. What is between the two at any time is one batch: consecutive items of
// at most kBatchPixels in all (or a single larger one), pixels[i] each. An exception of work is thrown on the calling
// thread; of several in a batch, that of the lowest i. Throws Interrupted between batches when a signal asked for a
// stop.
void run_in_batches(const std::vector<std::int64_t>& pixels, const std::function<void(std::size_t)>& work,
                    const std::function<void(std::size_t)>& take);

// About 14 bytes per pixel while decoding (data/codecs/decode.h): well under 1 GiB.
inline constexpr std::int64_t kBatchPixels = 48'000'000;

}  // namespace gridstep
