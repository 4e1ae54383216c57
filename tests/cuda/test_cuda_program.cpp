// Whole programs on the GPU: captured as a CUDA graph they give the bits of eager launches.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/device/plugin.h"
#include "engine/graph/program.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "tests/support/compare.h"
#include "tests/support/espcn_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

constexpr int kReplicas = 2;

struct Training {
  Graph step;        // with gradients
  std::string loss;  // its output
  Graph forward;     // for calibration
  std::vector<QuantizerSite> sites;
  std::vector<std::string> pixels;  // inputs; the first is the forward graph's too
};

Training espcn(ConvGradients gradients) {
  EspcnCase c;
  c.model.scale = 3;
  c.fused = true;
  c.gradients = gradients;
  Training t{espcn_graph(c).graph, "loss", {}, {}, {"lr", "hr"}};
  const ValueId lr = t.forward.add_input("lr", {{c.n, c.h, c.w, 3}, DType::kU8});
  t.sites = build_espcn(t.forward, lr, c.model).quantizers;
  return t;
}

// With batch normalisation, shortcuts, and a fully connected layer.
Training resnet20(ConvGradients gradients) {
  constexpr Index kImages = 4, kSide = 8;
  Training t{{}, "loss:0", {}, {}, {"image"}};
  ModelOptions options;
  options.classes = 10;
  const auto build = [&](Graph& g) {
    return find_model("resnet20").build(g, g.add_input("image", {{kImages, kSide, kSide, 3}, DType::kU8}), options);
  };
  t.sites = build(t.forward).quantizers;
  const ValueId logits = build(t.step).output;
  const ValueId labels = t.step.add_input("labels", {{kImages}, DType::kS32});
  const ValueId loss = softmax_cross_entropy(t.step, "loss", logits, labels, {0.1f}).loss;
  fuse(t.step);
  set_conv_gradients(t.step, gradients);
  differentiate(t.step, loss, add_op());
  t.step.mark_output(loss);
  return t;
}

using MakeTraining = Training (*)(ConvGradients);

void upload_pixels(Device& device, const Tensor& t) {
  for (int r = 0; r < kReplicas; ++r) {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(t.elements()));
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37 + 11 * i * i);
    device.upload(t.at<std::byte>(r), pixels.data(), static_cast<Bytes>(pixels.size()));
  }
}

// Gradients and loss of every replica after `runs` runs of one training program.
std::vector<float> results(MakeTraining make, ConvGradients gradients, bool capture, int runs) {
  const auto device = cuda_plugin().registry->make_device(0);
  Training t = make(gradients);
  ParameterStore store(*device, t.step.parameters(), kReplicas, 0, true);
  store.initialise({1, 2});
  {
    Program forward(std::move(t.forward), store);
    upload_pixels(*device, forward.tensor(t.pixels[0]));
    calibrate(forward, store, t.sites);
  }
  ProgramOptions options;
  options.capture = capture;
  Program program(std::move(t.step), store, options);
  for (const std::string& name : t.pixels) upload_pixels(*device, program.tensor(name));
  for (int i = 0; i < runs; ++i) program.run();
  device->synchronize();
  std::vector<float> all;
  for (int r = 0; r < kReplicas; ++r) {
    const auto own = store.download(store.gradients(), r);
    all.insert(all.end(), own.begin(), own.end());
    double loss = 0.0;
    device->download(&loss, program.tensor(t.loss).at<std::byte>(r), sizeof loss);
    all.push_back(static_cast<float>(loss));
  }
  CHECK(std::count(all.begin(), all.end(), 0.0f) < static_cast<std::ptrdiff_t>(all.size()) / 2);
  return all;
}

}  // namespace

TEST_CASE("a training step captured as a CUDA graph gives the bits of eager launches on the GPU") {
  for (const MakeTraining make : {espcn, resnet20}) {
    for (const ConvGradients gradients : {ConvGradients::kFloat32, ConvGradients::kBfloat16}) {
      INFO((make == espcn ? "ESPCN, " : "ResNet-20, ")
           << (gradients == ConvGradients::kFloat32 ? "gradients of libraries" : "own gradients in bfloat16"));
      const auto eager = results(make, gradients, false, 1);
      CHECK_SAME(compare_bits(results(make, gradients, true, 1), eager));  // not captured yet
      CHECK_SAME(compare_bits(results(make, gradients, true, 3), eager));  // captured, and launched twice
    }
  }
  CHECK(results(espcn, ConvGradients::kBfloat16, false, 1) != results(espcn, ConvGradients::kFloat32, false, 1));
}
