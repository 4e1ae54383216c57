// Residual networks against PyTorch: logits, loss, running statistics, gradients; losses of ten steps under LSQ.
#include <cmath>

#include "engine/graph/backward.h"
#include "engine/passes/fuse.h"
#include "engine/train/import_weights.h"
#include "kernels/add/add.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "models/model.h"
#include "tests/golden/resnet/normalized_golden.h"
#include "tests/golden/resnet/resnet_golden.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/program_bench.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

constexpr Index kSamples = 4;
constexpr int kClasses = 10;

// The scripts' formulas (tests/golden/resnet/).
std::int64_t integer(std::size_t i, std::int64_t salt, std::int64_t modulus) {
  return (static_cast<std::int64_t>(i) + 1) * (2 * salt + 7) * 7919 % 65521 % modulus;
}

void fill_parameter(const ParameterInfo& info, std::span<float> to) {
  std::int64_t salt = 0;
  for (const char c : info.name) salt += static_cast<unsigned char>(c);
  salt %= 997;
  double scale = 0.25, middle = 0.0;
  if (info.name == "fc.weight") {
    scale = 0.125;
  } else if (info.shape.rank() == 4) {
    const double fan_in = static_cast<double>(info.shape[1] * info.shape[2] * info.shape[3]);
    scale = std::exp2(std::nearbyint(std::log2(std::sqrt(6.0 / fan_in))));
  } else if (info.name.ends_with("running_var")) {
    scale = 0.5;
    middle = 2.0;
  } else if (info.name.ends_with("weight")) {
    middle = 1.0;
  }
  for (std::size_t i = 0; i < to.size(); ++i) {
    to[i] = static_cast<float>(static_cast<double>(integer(i, salt, 129) - 64) / 64.0 * scale + middle);
  }
}

Graph network(const ResnetGolden& golden, NormMode norm) {
  Graph graph;
  const ValueId image = graph.add_input("image", {{kSamples, golden.side, golden.side, 3}, DType::kU8});
  const ValueId labels = graph.add_input("labels", {{kSamples}, DType::kS32});
  ModelOptions options;
  options.classes = kClasses;
  options.quant.enabled = false;
  options.norm = norm;
  const BuiltModel model = find_model(golden.model).build(graph, image, options);
  const CrossEntropy head = softmax_cross_entropy(graph, "loss", model.output, labels, {0.1f});
  if (norm == NormMode::kTraining) differentiate(graph, head.loss, add_op());
  graph.mark_output(model.output);
  graph.mark_output(head.loss);
  return graph;
}

template <class Tensors>
void fill_inputs(Tensors image, std::span<std::int32_t> labels) {
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(integer(i, 4, 251));
  const std::int32_t wanted[] = {3, 0, 9, 5};
  std::copy_n(wanted, kSamples, labels.begin());
}

// Of the largest magnitude among what is wanted: single small elements may cancel.
void check_close(std::span<const float> got, const std::vector<double>& want, double tolerance) {
  double largest = 0.0;
  for (const double v : want) largest = std::max(largest, std::fabs(v));
  CHECK_SAME(compare(got, want, {.abs = tolerance * largest}));
}

// The script's quantizers: linear steps, 8-bit codes (weights narrow), the gradient of a step times 1 / sqrt(N p).
Graph quantized_network(const LsqGolden& golden, bool codes, bool fused) {
  Graph graph;
  const ValueId image = graph.add_input("image", {{golden.samples, golden.side, golden.side, 3}, DType::kU8});
  const ValueId labels = graph.add_input("labels", {{golden.samples}, DType::kS32});
  ModelOptions options;
  options.classes = golden.classes;
  options.quant.form = StepForm::kLinear;
  options.quant.codes = codes;
  const BuiltModel model = find_model(golden.model).build(graph, image, options);
  const CrossEntropy head = softmax_cross_entropy(graph, "loss", model.output, labels, {0.1f});
  if (fused) fuse(graph);
  differentiate(graph, head.loss, add_op());
  graph.mark_output(head.loss);
  return graph;
}

void fill_steps(ProgramBench& bench) {
  for (const ParameterInfo& p : bench.store().table()) {
    if (p.role != Role::kStep) continue;
    float step = kInputStep;
    if (const std::size_t at = p.name.find(".weight_step"); at != std::string::npos) {
      double largest = 0.0;
      for (const float w : bench.parameter(p.name.substr(0, at) + ".weight"))
        largest = std::max(largest, std::fabs(static_cast<double>(w)));
      step = static_cast<float>(largest * kWeightStep);
    }
    for (const std::string& name : {p.name, p.name + "0"})
      for (float& s : bench.parameter(name)) s = step;
  }
}

// The network's parameters as PyTorch keeps them: (K, C, R, S) convolutions, a (K, C) last layer.
void write_as_torchvision(const fs::path& path, ProgramBench& bench) {
  std::vector<std::vector<float>> values;
  std::vector<ArrayView> arrays;
  for (const ParameterInfo& p : bench.store().table()) {
    const auto have = bench.parameter(p.name);
    std::vector<float> kcrs(have.begin(), have.end());
    std::vector<Index> shape;
    for (int i = 0; i < p.shape.rank(); ++i) shape.push_back(p.shape[i]);
    if (p.shape.rank() == 4) {
      shape = {p.shape[0], p.shape[3], p.shape[1], p.shape[2]};
      std::size_t at = 0;
      for (Index k = 0; k < shape[0]; ++k) {
        for (Index c = 0; c < shape[1]; ++c) {
          for (Index r = 0; r < shape[2]; ++r) {
            for (Index s = 0; s < shape[3]; ++s)
              kcrs[at++] = have[static_cast<std::size_t>(((k * shape[2] + r) * shape[3] + s) * shape[1] + c)];
          }
        }
      }
      if (p.name == "fc.weight") shape.resize(2);
    }
    values.push_back(std::move(kcrs));
    arrays.push_back({p.name, DType::kF32, shape, std::as_bytes(std::span(values.back()))});
  }
  write_safetensors(path, arrays, {});
}

}  // namespace

TEST_CASE("residual networks started from torchvision's layout have PyTorch's logits", "[models][golden]") {
  const TemporaryFolder folder;
  for (const ResnetGolden& golden : kResnetGolden) {
    INFO(golden.model);
    ProgramBench trained(network(golden, NormMode::kTraining), {.threads = 2});
    trained.store().initialise({1});
    for (const ParameterInfo& p : trained.store().table()) {
      if (p.role != Role::kState) fill_parameter(p, trained.parameter(p.name));
    }
    fill_inputs(trained.values<std::uint8_t>("image"), trained.values<std::int32_t>("labels"));
    trained.run();  // running statistics of one batch, as in the golden values
    write_as_torchvision(folder / "weights.safetensors", trained);

    const SafetensorsFile file(folder / "weights.safetensors");
    ProgramBench bench(network(golden, NormMode::kFrozen), {.threads = 2});
    bench.store().initialise({2});
    const ImportReport report = import_weights(file, bench.store(), 0);
    CHECK(report.matched.size() == file.arrays().size());
    CHECK((report.head.empty() && report.fresh.empty() && report.calibrated.empty() && report.skipped.empty()));
    fill_inputs(bench.values<std::uint8_t>("image"), bench.values<std::int32_t>("labels"));
    bench.run();
    check_close(bench.values<float>("fc"), golden.evaluated, 1e-4);
  }
}

TEST_CASE("weights from torchvision have PyTorch's logits on normalised images, without fine-tuning",
          "[models][golden]") {
  const auto evaluated = [](const char* normalize) {
    Graph graph;
    const ValueId image = graph.add_input("image", {{kSamples, kNormalizedSide, kNormalizedSide, 3}, DType::kU8});
    ModelOptions options;
    options.classes = kClasses;
    options.quant.enabled = false;
    options.norm = NormMode::kFrozen;
    options.normalize = parse_normalization(normalize);
    graph.mark_output(find_model("resnet18").build(graph, image, options).output);
    return graph;
  };
  const TemporaryFolder folder;
  ProgramBench filled(evaluated("none"));
  for (const ParameterInfo& p : filled.store().table()) fill_parameter(p, filled.parameter(p.name));
  write_as_torchvision(folder / "weights.safetensors", filled);
  const SafetensorsFile file(folder / "weights.safetensors");
  for (const char* normalize : {"imagenet", "none"}) {
    ProgramBench bench(evaluated(normalize), {.threads = 2});
    bench.store().initialise({2});
    CHECK(import_weights(file, bench.store(), 0).matched.size() == file.arrays().size());
    const auto image = bench.values<std::uint8_t>("image");
    for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(integer(i, 4, 251));
    bench.run();
    const auto logits = bench.values<float>("fc");
    if (normalize == std::string("imagenet")) {
      check_close(logits, kNormalizedLogits, 1e-4);
    } else {
      CHECK_FALSE(compare(logits, kNormalizedLogits, {.abs = 0.1}).ok);
    }
  }
}

TEST_CASE("float residual networks agree with PyTorch", "[models][golden]") {
  REQUIRE(kResnetGolden.size() == 2);
  for (const ResnetGolden& golden : kResnetGolden) {
    INFO(golden.model);
    ProgramBench bench(network(golden, NormMode::kTraining), {.threads = 2});
    bench.store().initialise({1});  // running statistics of 0 and 1
    for (const ParameterInfo& p : bench.store().table()) {
      if (p.role != Role::kState) fill_parameter(p, bench.parameter(p.name));
    }
    fill_inputs(bench.values<std::uint8_t>("image"), bench.values<std::int32_t>("labels"));
    bench.run();
    check_close(bench.values<float>("fc"), golden.logits, 1e-4);
    CHECK_SAME(compare(bench.values<double>("loss:0"), std::vector<double>{golden.loss}, {.rel = 1e-5}));
    const auto first = [&](const std::string& name) { return bench.parameter(golden.last_norm + name).first(8); };
    check_close(first(".running_mean"), golden.mean, 1e-4);
    check_close(first(".running_var"), golden.var, 1e-4);
    for (const ResnetGradient& want : golden.gradients) {
      INFO(want.parameter);
      const auto g = bench.gradient(want.parameter);
      double squares = 0.0;
      for (const float v : g) squares += static_cast<double>(v) * static_cast<double>(v);
      CHECK_SAME(compare(std::vector<double>{std::sqrt(squares)}, std::vector<double>{want.norm}, {.rel = 1e-4}));
      for (std::size_t i = 0; i < 4; ++i) {
        const double got = static_cast<double>(g[i * (g.size() - 1) / 3]);
        CHECK(std::fabs(got - want.picked[i]) <= 1e-4 * want.norm);
      }
    }

    Program frozen(network(golden, NormMode::kFrozen), bench.store());
    const Tensor image = frozen.tensor("image"), labels = frozen.tensor("labels"), logits = frozen.tensor("fc");
    fill_inputs(std::span<std::uint8_t>(image.at<std::uint8_t>(0), static_cast<std::size_t>(image.elements())),
                {labels.at<std::int32_t>(0), static_cast<std::size_t>(kSamples)});
    frozen.run();
    check_close({logits.at<float>(0), static_cast<std::size_t>(logits.elements())}, golden.evaluated, 1e-4);
  }
}

TEST_CASE("ten steps of ResNet-20 and ResNet-18 under LSQ have PyTorch's losses", "[models][golden]") {
  REQUIRE(kLsqGolden.size() == 2);
  for (const LsqGolden& golden : kLsqGolden) {
    for (const auto& [codes, fused] : {std::pair{true, true}, std::pair{true, false}, std::pair{false, false}}) {
      INFO(golden.model << (codes ? ", codes" : ", floats") << (fused ? ", fused" : ""));
      ProgramBench bench(quantized_network(golden, codes, fused), {.threads = 2});
      bench.store().initialise({1});
      for (const ParameterInfo& p : bench.store().table()) {
        if (p.role == Role::kState || p.role == Role::kStep) continue;
        fill_parameter(p, bench.parameter(p.name));
        if (p.name.ends_with("bn2.weight"))
          for (float& scale : bench.parameter(p.name))
            scale = static_cast<float>(static_cast<double>(scale) * golden.gain);
      }
      fill_steps(bench);
      std::vector<double> losses;
      for (int step = 0; step < 10; ++step) {
        const auto image = bench.values<std::uint8_t>("image");
        for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(integer(i, 4, 251));
        const auto labels = bench.values<std::int32_t>("labels");
        for (int i = 0; i < golden.samples; ++i) labels[static_cast<std::size_t>(i)] = i * 7 % golden.classes;
        bench.run();
        losses.push_back(bench.values<double>("loss:0")[0]);
        for (const ParameterInfo& p : bench.store().table()) {
          if (p.role == Role::kState) continue;
          const auto w = bench.parameter(p.name);
          const auto g = bench.gradient(p.name);
          for (std::size_t i = 0; i < w.size(); ++i) w[i] -= golden.rate * g[i];
        }
      }
      CHECK_SAME(compare(losses, golden.losses, {.rel = golden.tolerance}));
    }
  }
}
