// Whole programs on the GPU: captured as a CUDA graph they give the bits of eager launches.
#include <algorithm>
#include <memory>
#include <vector>

#include "engine/device/plugin.h"
#include "engine/graph/program.h"
#include "tests/support/compare.h"
#include "tests/support/espcn_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

constexpr int kReplicas = 2;

void upload_pixels(Device& device, const Tensor& t) {
  for (int r = 0; r < kReplicas; ++r) {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(t.elements()));
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37 + 11 * i * i);
    device.upload(t.at<std::byte>(r), pixels.data(), static_cast<Bytes>(pixels.size()));
  }
}

// Gradients and loss of every replica after `runs` runs of one training program.
std::vector<float> results(bool capture, int runs, ConvGradients gradients = ConvGradients::kFloat32) {
  const auto device = cuda_plugin().registry->make_device(0);
  EspcnCase c;
  c.model.scale = 3;
  c.fused = true;
  c.gradients = gradients;
  EspcnGraph espcn = espcn_graph(c);
  ParameterStore store(*device, espcn.graph.parameters(), kReplicas, 0, true);
  store.initialise({1, 2});
  calibrate_espcn(store, c, [&](Program& program) { upload_pixels(*device, program.tensor("lr")); });
  ProgramOptions options;
  options.capture = capture;
  Program program(std::move(espcn.graph), store, options);
  for (const char* name : {"lr", "hr"}) upload_pixels(*device, program.tensor(name));
  for (int i = 0; i < runs; ++i) program.run();
  device->synchronize();
  std::vector<float> all;
  for (int r = 0; r < kReplicas; ++r) {
    const auto own = store.download(store.gradients(), r);
    all.insert(all.end(), own.begin(), own.end());
    double loss = 0.0;
    device->download(&loss, program.tensor("loss").at<std::byte>(r), sizeof loss);
    all.push_back(static_cast<float>(loss));
  }
  CHECK(std::count(all.begin(), all.end(), 0.0f) < static_cast<std::ptrdiff_t>(all.size()) / 2);
  return all;
}

}  // namespace

TEST_CASE("a training step captured as a CUDA graph gives the bits of eager launches on the GPU") {
  const auto eager = results(false, 1);
  CHECK_SAME(compare_bits(results(true, 1), eager));  // not captured yet
  CHECK_SAME(compare_bits(results(true, 2), eager));  // captured and launched once
  CHECK_SAME(compare_bits(results(true, 5), eager));
}

TEST_CASE("the same with gradients in bfloat16, by the own kernels") {
  constexpr auto kBf16 = ConvGradients::kBfloat16;
  const auto eager = results(false, 1, kBf16);
  CHECK_SAME(compare_bits(results(true, 2, kBf16), eager));
  CHECK(eager != results(false, 1));
}
