// The CPU device: every task once, launches of a replica in order, failures, memory.
#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <stdexcept>

#include "engine/base/error.h"
#include "engine/device/cpu_info.h"
#include "engine/device/device.h"
#include "tests/support/catch.h"

using namespace gridstep;

TEST_CASE("every task of every launch and replica runs once, launches in order", "[device]") {
  for (const int threads : {1, 2, 3, 4}) {
    const auto device = make_cpu_device(threads);
    CHECK(device->threads() == threads);
    for (const int replicas : {1, 2, 3, 4, 5, 9}) {
      const std::vector<int> tasks{3, 1, 8, 2};
      std::vector<std::atomic<int>> counts(static_cast<std::size_t>(replicas) * 4 * 8),
          done(static_cast<std::size_t>(replicas) * 4);
      std::atomic<int> early{0};
      std::vector<Launch> launches;
      for (int l = 0; l < 4; ++l) {
        launches.push_back({l, "launch", tasks[static_cast<std::size_t>(l)], [&, l](const TaskContext& t) {
                              const auto at = static_cast<std::size_t>(t.replica * 4 + l);
                              if (l > 0 && done[at - 1] != tasks[static_cast<std::size_t>(l - 1)]) ++early;
                              ++counts[at * 8 + static_cast<std::size_t>(t.task)];
                              ++done[at];
                            }});
      }
      for (int repeat = 1; repeat <= 3; ++repeat) {
        for (auto& d : done) d = 0;
        device->run(launches, replicas, 0);
        for (std::size_t i = 0; i < counts.size(); ++i) {
          const int l = static_cast<int>(i / 8 % 4), task = static_cast<int>(i % 8);
          REQUIRE(counts[i] == (task < tasks[static_cast<std::size_t>(l)] ? repeat : 0));
        }
        REQUIRE(early == 0);
      }
    }
  }
}

TEST_CASE("each thread has scratch memory of its own, as large as asked for", "[device]") {
  const auto device = make_cpu_device(4);
  for (const Bytes size : {Bytes{64}, Bytes{100000}, Bytes{1000}}) {
    std::mutex mutex;
    std::set<std::byte*> seen;
    std::atomic<int> clobbered{0};
    const std::vector<Launch> launches{{0, "fill", 64, [&](const TaskContext& t) {
                                          const auto mark = static_cast<std::byte>(t.task + 1);
                                          std::fill_n(t.scratch, size, mark);
                                          if (std::count(t.scratch, t.scratch + size, mark) != size) ++clobbered;
                                          const std::lock_guard lock(mutex);
                                          seen.insert(t.scratch);
                                        }}};
    device->run(launches, 2, size);
    CHECK(clobbered == 0);
    CHECK(seen.size() <= 4);
    for (const std::byte* p : seen)
      CHECK(reinterpret_cast<std::uintptr_t>(p) % static_cast<std::uintptr_t>(kAlignment) == 0);
  }
}

TEST_CASE("a failing task is reported and the device goes on", "[device]") {
  for (const int threads : {1, 2, 4}) {
    const auto device = make_cpu_device(threads);
    for (const int replicas : {1, 2, 5}) {
      std::atomic<int> ran{0};
      const std::vector<Launch> failing{{0, "first", 4, [](const TaskContext&) {}},
                                        {1, "fails", 4,
                                         [](const TaskContext& t) {
                                           if (t.task == 2 && t.replica == 0) throw std::runtime_error("planted");
                                         }},
                                        {2, "later", 4, [](const TaskContext&) {}}};
      CHECK_THROWS_WITH(device->run(failing, replicas, 0), "planted");
      const std::vector<Launch> fine{{0, "fine", 4, [&](const TaskContext&) { ++ran; }}};
      device->run(fine, replicas, 0);
      CHECK(ran == 4 * replicas);
    }
  }
}

TEST_CASE("buffers own aligned memory and move", "[device]") {
  const auto device = make_cpu_device(1);
  Buffer a(*device, 1000);
  CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % static_cast<std::uintptr_t>(kAlignment) == 0);
  device->fill(a.data(), 7, 1000);
  std::byte* const p = a.data();
  Buffer b = std::move(a);
  CHECK((b.data() == p && b.size() == 1000));
  Buffer c;
  CHECK(c.data() == nullptr);
  c = std::move(b);
  CHECK((c.data() == p && c.data()[999] == std::byte{7}));
  int out[2] = {}, in[2] = {3, 4};
  device->upload(c.data(), in, sizeof in);
  device->download(out, c.data(), sizeof out);
  CHECK((out[0] == 3 && out[1] == 4));
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("memory that cannot be had is a device error", "[device]") {
  const auto device = make_cpu_device(1);
  CHECK_THROWS_AS(Buffer(*device, Bytes{1} << 60), DeviceError);
}
#endif

TEST_CASE("the processor is described", "[device]") {
  CHECK(cpu_usable_threads() >= 1);
  CHECK(cpu_available_bytes() > (Bytes{1} << 20));
  CHECK_FALSE(cpu_model().empty());
  CHECK_FALSE(cpu_instruction_set().empty());
  CHECK(make_cpu_device(0)->threads() == cpu_usable_threads());
  CHECK(make_cpu_device(2)->describe().find("2 threads") != std::string::npos);
  CHECK(name_of(DeviceKind::kCpu) == "cpu");
  CHECK(name_of(DeviceKind::kCuda) == "cuda");
}
