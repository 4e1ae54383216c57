#include "data/batches.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "engine/base/error.h"
#include "engine/base/interrupt.h"

namespace gridstep {
namespace {

constexpr std::size_t kMaxBatchItems = 256;
constexpr std::size_t kMaxThreads = 16;

std::size_t batch_end(const std::vector<std::int64_t>& pixels, std::size_t begin) {
  std::int64_t sum = pixels[begin];
  std::size_t end = begin + 1;
  while (end < pixels.size() && end - begin < kMaxBatchItems && sum + pixels[end] <= kBatchPixels) sum += pixels[end++];
  return end;
}

void run_parallel(std::size_t begin, std::size_t end, const std::function<void(std::size_t)>& work) {
  std::vector<std::exception_ptr> errors(end - begin);
  std::atomic<std::size_t> next{begin};
  const auto take_next = [&] { return next.fetch_add(1, std::memory_order_relaxed); };
  const auto worker = [&] {
    for (std::size_t i = take_next(); i < end; i = take_next()) {
      try {
        work(i);
      } catch (...) {
        errors[i - begin] = std::current_exception();
      }
    }
  };
  const std::size_t cores = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  {
    std::vector<std::jthread> helpers(std::min({cores, end - begin, kMaxThreads}) - 1);
    for (std::jthread& helper : helpers) helper = std::jthread(worker);
    worker();
  }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace

void run_in_batches(const std::vector<std::int64_t>& pixels, const std::function<void(std::size_t)>& work,
                    const std::function<void(std::size_t)>& take) {
  for (std::size_t begin = 0; begin < pixels.size();) {
    if (interrupt_requested()) fail<Interrupted>("interrupted while reading pictures; nothing was written");
    const std::size_t end = batch_end(pixels, begin);
    run_parallel(begin, end, work);
    for (std::size_t i = begin; i < end; ++i) take(i);
    begin = end;
  }
}

}  // namespace gridstep
