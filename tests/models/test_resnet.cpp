// Residual networks: published sizes, torchvision's names, fused against unfused.
#include <map>
#include <set>

#include "engine/graph/backward.h"
#include "engine/passes/fuse.h"
#include "kernels/add/add.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "models/model.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/program_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Built {
  Graph graph;
  BuiltModel model;
};

Built build(const std::string& name, Index n, Index side, const ModelOptions& options) {
  Built b;
  const ValueId image = b.graph.add_input("image", {{n, side, side, 3}, DType::kU8});
  b.model = find_model(name).build(b.graph, image, options);
  return b;
}

ModelOptions options_of(int classes, bool quantized = false) {
  ModelOptions options;
  options.classes = classes;
  options.quant.enabled = quantized;
  return options;
}

Index parameters_of(const Graph& graph) {
  Index count = 0;
  for (const ParameterInfo& p : graph.parameters()) {
    if (p.role == Role::kWeight || p.role == Role::kBias) count += p.shape.elements();
  }
  return count;
}

Index macs_of(const Graph& graph) {
  Index macs = 0;
  for (const Node& node : graph.nodes()) {
    if (node.op != &conv2d_op()) continue;
    const auto& attrs = node.attrs_as<Conv2dAttrs>();
    macs += conv_geometry(graph.spec(node.inputs[0]).shape, graph.spec(node.inputs[1]).shape, attrs.stride, attrs.pad)
                .macs();
  }
  return macs;
}

}  // namespace

TEST_CASE("residual networks have the published parameters and multiply-accumulates", "[models]") {
  struct Row {
    const char* model;
    int classes;
    Index side;
    const char* stem;
    const char* shortcut;
    Index parameters, macs;
  };
  for (const Row& row : {Row{"resnet18", 1000, 224, "auto", "auto", 11689512, 1814073344},
                         Row{"resnet50", 1000, 224, "auto", "auto", 25557032, 4089184256},
                         Row{"resnet20", 10, 32, "auto", "auto", 269722, 40551040},
                         Row{"resnet20", 10, 32, "auto", "b", 272474, 40813184},
                         Row{"resnet50", 10, 32, "cifar", "auto", 23520842, 1297829888}}) {
    INFO(row.model << " " << row.stem << " " << row.shortcut);
    for (const bool quantized : {false, true}) {
      ModelOptions options = options_of(row.classes, quantized);
      options.stem = row.stem;
      options.shortcut = row.shortcut;
      const Built b = build(row.model, 1, row.side, options);
      CHECK(parameters_of(b.graph) == row.parameters);
      CHECK(macs_of(b.graph) == row.macs);
      CHECK(b.graph.spec(b.model.output).shape == Shape{1, 1, 1, row.classes});
    }
  }
}

TEST_CASE("residual networks have torchvision's parameter names", "[models]") {
  const Built b = build("resnet18", 1, 64, options_of(10));
  std::map<std::string, Shape> shapes;
  for (const ParameterInfo& p : b.graph.parameters()) shapes[p.name] = p.shape;
  CHECK(shapes.size() == 122 - 20);  // torchvision's state_dict without num_batches_tracked
  CHECK(shapes.at("conv1.weight") == Shape{64, 7, 7, 3});
  CHECK(shapes.at("bn1.running_var") == Shape{64});
  CHECK(shapes.at("layer1.0.conv2.weight") == Shape{64, 3, 3, 64});
  CHECK(shapes.at("layer4.1.bn2.bias") == Shape{512});
  CHECK(shapes.at("layer2.0.downsample.0.weight") == Shape{128, 1, 1, 64});
  CHECK(shapes.at("layer2.0.downsample.1.running_mean") == Shape{128});
  CHECK(shapes.at("fc.weight") == Shape{10, 1, 1, 512});
  CHECK(shapes.at("fc.bias") == Shape{10});
  const Built deep = build("resnet50", 1, 64, options_of(10));
  CHECK(deep.graph.parameters().size() == 320 - 53);
}

TEST_CASE("a fused residual network equals the unfused one, loss and gradients", "[models]") {
  for (const auto& [name, normalize] :
       {std::pair{"resnet20", "none"}, {"resnet20", "imagenet"}, {"resnet18", "none"}}) {
    for (const bool quantized : {false, true}) {
      INFO(name << (quantized ? " quantized" : " float") << ", normalised by " << normalize);
      std::vector<std::vector<float>> gradients;
      std::vector<double> losses;
      for (const bool fused : {false, true}) {
        ModelOptions options = options_of(7, quantized);
        options.normalize = parse_normalization(normalize);
        Built b = build(name, 3, name == std::string("resnet18") ? 40 : 16, options);
        const ValueId labels = b.graph.add_input("labels", {{3}, DType::kS32});
        const CrossEntropy head = softmax_cross_entropy(b.graph, "loss", b.model.output, labels);
        if (fused) CHECK_FALSE((fuse(b.graph).empty() && quantized));
        differentiate(b.graph, head.loss, add_op());
        b.graph.mark_output(head.loss);
        ProgramBench bench(std::move(b.graph));
        bench.store().initialise({5});
        for (const ParameterInfo& p : bench.store().table()) {
          if (p.role != Role::kStep) continue;
          for (float& s : bench.parameter(p.name)) s = -4.0f;  // logarithms
        }
        fill(bench.values<std::uint8_t>("image"),
             byte_values(static_cast<Index>(bench.values<std::uint8_t>("image").size()), 3));
        fill(bench.values<std::int32_t>("labels"), std::vector<std::int32_t>{2, 0, 6});
        bench.run();
        CHECK(bench.status().first_fault == 0);
        losses.push_back(bench.values<double>("loss:0")[0]);
        gradients.push_back(bench.gradients());
      }
      CHECK(losses[0] == losses[1]);
      CHECK_SAME(compare_exact(std::span<const float>(gradients[0]), gradients[1]));
    }
  }
}

TEST_CASE("normalised pixels are quantized as the input of any layer", "[models]") {
  ModelOptions options = options_of(7, true);
  options.quant.weight_bits = options.quant.activation_bits = 4;
  const auto has_pixel_step = [](const Graph& graph) {
    return std::any_of(graph.parameters().begin(), graph.parameters().end(),
                       [](const ParameterInfo& p) { return p.name == "pixel_step"; });
  };
  const Built codes = build("resnet20", 1, 16, options);
  CHECK(codes.model.quantizers[0].name == "conv1.weight");
  CHECK(has_pixel_step(codes.graph));
  options.normalize = parse_normalization("imagenet");
  for (const int bits : {8, 0, kFloatBits}) {
    options.quant.first_last_bits = bits;
    const Built b = build("resnet20", 1, 16, options);
    CHECK_FALSE(has_pixel_step(b.graph));
    const QuantizerSite& first = b.model.quantizers[0];
    if (bits == kFloatBits) {
      CHECK(first.name == "layer1.0.conv1.input");
      continue;
    }
    CHECK((first.name == "conv1.input" && first.input == "normalize" && !first.is_weight));
    CHECK((first.range.n == (bits == 8 ? -128 : -8) && first.range.p == (bits == 8 ? 127 : 7)));
  }
}

TEST_CASE("calibration leaves the running statistics alone", "[models]") {
  for (const NormMode mode : {NormMode::kTraining, NormMode::kCalibrate, NormMode::kFrozen}) {
    ModelOptions options = options_of(4);
    options.norm = mode;
    Built b = build("resnet20", 2, 8, options);
    b.graph.mark_output(b.model.output);
    ProgramBench bench(std::move(b.graph));
    bench.store().initialise({1});
    fill(bench.values<std::uint8_t>("image"), byte_values(2 * 8 * 8 * 3, 3));
    bench.run();
    CHECK((bench.parameter("bn1.running_mean")[0] == 0.0f) == (mode != NormMode::kTraining));
  }
}

TEST_CASE("what a residual network cannot do is refused by name", "[models]") {
  ModelOptions options = options_of(10);
  options.stem = "big";
  CHECK_THROWS_WITH(build("resnet20", 1, 32, options), Catch::Matchers::Contains("model.stem = 'big'"));
  options.stem = "auto";
  options.shortcut = "c";
  CHECK_THROWS_WITH(build("resnet20", 1, 32, options), Catch::Matchers::Contains("model.shortcut = 'c'"));
  CHECK_THROWS_AS(build("resnet20", 1, 32, options_of(1)), ConfigError);
}
