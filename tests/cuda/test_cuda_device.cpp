// The CUDA device: memory, and elementwise ops whose bits equal the CPU's.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/device/plugin.h"
#include "kernels/add/add.h"
#include "kernels/relu/relu.h"
#include "kernels/tanh/tanh.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

std::unique_ptr<Device> gpu() { return cuda_plugin().registry->make_device(0); }

// The op's output on the GPU, from the inputs that `bench` holds for one replica.
std::vector<float> run_on_gpu(Device& device, const OpDef& op, NodeBench& bench, std::size_t inputs) {
  BoundNode bound = bench.bound();
  std::vector<Buffer> memory;
  const auto place = [&](Tensor& t) {
    memory.emplace_back(device, align_up(t.elements() * size_of(t.dtype) + 1));
    device.fill(memory.back().data(), 0xff, memory.back().size());
    t.data = memory.back().data();
    t.replica_stride = memory.back().size();
  };
  for (std::size_t i = 0; i < inputs; ++i) {
    place(bound.in[i]);
    const auto values = bench.in<float>(static_cast<int>(i));
    device.upload(bound.in[i].data, values.data(), static_cast<Bytes>(values.size_bytes()));
  }
  place(bound.out[0]);
  Recorder recorder(device, 1, nullptr, nullptr);
  launcher(op, DeviceKind::kCuda)(recorder, bound);
  device.run(recorder.take_launches(), 1, recorder.scratch_bytes());
  device.synchronize();
  std::vector<float> result(static_cast<std::size_t>(bound.out[0].elements()));
  device.download(result.data(), bound.out[0].data, static_cast<Bytes>(result.size() * sizeof(float)));
  return result;
}

}  // namespace

TEST_CASE("the GPU describes itself") {
  const auto device = gpu();
  CHECK(device->kind() == DeviceKind::kCuda);
  CHECK_FALSE(device->describe().empty());
  CHECK(device->available_bytes() > 0);
}

TEST_CASE("GPU memory keeps what is written") {
  const auto device = gpu();
  const Buffer buffer(*device, 1000);
  CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % kAlignment == 0);
  std::vector<std::uint8_t> values(1000), got(1000);
  std::iota(values.begin(), values.end(), std::uint8_t{1});
  device->upload(buffer.data(), values.data(), 1000);
  device->fill(buffer.data() + 500, 0xab, 100);
  std::fill(values.begin() + 500, values.begin() + 600, std::uint8_t{0xab});
  device->download(got.data(), buffer.data(), 1000);
  device->synchronize();
  CHECK_SAME(compare_bits(got, values));
}

TEST_CASE("elementwise ops give the CPU's bits") {
  const auto device = gpu();
  struct Row {
    const OpDef& op;
    std::size_t inputs;
  };
  for (const Row& row :
       {Row{relu_op(), 1}, {relu_backward_op(), 2}, {tanh_op(), 1}, {tanh_backward_op(), 2}, {add_op(), 2}}) {
    for (const Shape& shape : {Shape{1}, Shape{3, 5, 7, 3}, Shape{16, 17, 17, 3}, Shape{1, 111, 113, 1}}) {
      Graph graph;
      std::vector<ValueId> ids;
      for (std::size_t i = 0; i < row.inputs; ++i) {
        ids.push_back(graph.add_input("in" + std::to_string(i), {shape, DType::kF32}));
      }
      graph.add_node("node", row.op, {}, ids);
      NodeBench bench(graph, 0);
      for (std::size_t i = 0; i < row.inputs; ++i) {
        fill(bench.in<float>(static_cast<int>(i)), normal_values(shape.elements(), static_cast<unsigned>(i), 2.0f));
      }
      bench.run();
      INFO(row.op.name << " of " << shape.elements() << " elements");
      CHECK_SAME(compare_bits(run_on_gpu(*device, row.op, bench, row.inputs), copy_of(bench.out<float>(0))));
    }
  }
}
