// A race of the kind that the thread sanitizer is there to find in an operation's CPU half: tasks of one launch that
// write the same memory. Built in preset tsan only; the test passes when the sanitizer reports it. With "apart" each
// task has memory of its own, and nothing is reported.      usage: planted_race together|apart
#include <atomic>
#include <cstdio>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/device/device.h"

int main(int argc, char** argv) {
  using namespace gridstep;
  if (argc != 2) return 2;
  const bool together = std::string_view(argv[1]) == "together";
  constexpr int kTasks = 8;
  std::vector<long> sums(kTasks);
  std::atomic<int> started{0};  // relaxed: it must not order the tasks
  const Launch sum{0, "sum", kTasks, [&](const TaskContext& t) {
                     started.fetch_add(1, std::memory_order_relaxed);
                     while (started.load(std::memory_order_relaxed) < 2) std::this_thread::yield();
                     sums[together ? 0 : static_cast<std::size_t>(t.task)] += t.task;
                   }};
  const Launch read{1, "read", 1, [&](const TaskContext&) {
                      long total = 0;
                      for (const long s : sums) total += s;
                      std::printf("total %ld\n", total);
                    }};
  make_cpu_device(4)->run({sum, read}, 1, 0);
}
