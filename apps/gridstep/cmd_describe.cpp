// gridstep describe: what a network consists of, before anything is trained.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "apps/gridstep/class_task.h"
#include "apps/gridstep/commands.h"
#include "apps/gridstep/network_config.h"
#include "apps/gridstep/sr_task.h"
#include "apps/gridstep/task_runner.h"
#include "engine/base/error.h"
#include "engine/base/names.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/quantize/quantize.h"
#include "optim/registry.h"

namespace gridstep {
namespace {

struct DescribeArgs {
  std::string model, bits = "8,8", fuse = "all", activation = "relu", optimizer = "adam", stem = "auto",
                     shortcut = "auto", normalize = "none", layers;
  int scale = 3, patch = 17, size = 0, classes = 0, batch = 16, replicas = 1;
  bool nodes = false;
};

// A network in the shapes that it is described in.
struct Described {
  std::string title;
  ModelOptions options;
  int side = 0;            // of the image, pixels
  bool per_pixel = false;  // multiply-accumulates are counted per pixel of the image; else per image
  bool fuse = true;
  TrainingGraphs graphs;
  Graph training;
  std::vector<FusionNote> notes;
  std::vector<FusionNote> folded = {};  // in evaluation
  std::string warning = {};             // of a size that does not suit the network
};

Config config_of(const DescribeArgs& args) {
  Config config;
  const Bits bits = parse_bits(args.bits);
  config.set("model.name", args.model, "MODEL");
  config.set("model.scale", std::int64_t{args.scale}, "--scale");
  config.set("model.activation", args.activation, "--activation");
  config.set("model.stem", args.stem, "--stem");
  config.set("model.shortcut", args.shortcut, "--shortcut");
  config.set("quant.weight_bits", bits.weights, "--bits");
  config.set("quant.activation_bits", bits.activations, "--bits");
  config.set("quant.layers", args.layers, "--layers");
  config.set("data.normalize", args.normalize, "--normalize");
  config.set("train.patch", std::int64_t{args.patch}, "--patch");
  config.set("train.batch", std::int64_t{args.batch}, "--batch");
  config.set("run.fuse", args.fuse, "--fuse");
  return config;
}

Described describe_super_resolution(const DescribeArgs& args) {
  if (args.normalize != "none") fail<ConfigError>("--normalize {}: only classifiers use it", args.normalize);
  const SrTask task = sr_task(config_of(args));
  PhotoTable any;  // only its being filled matters for shapes and memory
  any.count = 1;
  any.total_area = 1;
  Described d{.title = fmt::format("{} x{}, patch {}", task.model, task.scale(), task.patch),
              .options = task.options,
              .side = task.patch,
              .per_pixel = true,
              .fuse = task.fuse,
              .graphs = {},
              .training = {},
              .notes = {}};
  d.graphs = sr_training_graphs(task, any);
  d.training = sr_training_graph(task, any, final_phase(task.options.quant), &d.notes);
  return d;
}

// Images and classes as in the data set a model is known from: CIFAR-10 or ImageNet.
Described describe_classifier(const DescribeArgs& args) {
  const bool small = args.stem == "cifar" || (args.stem == "auto" && args.model == "resnet20");
  const int side = args.size > 0 ? args.size : small ? 32 : 224;
  const ClassTask task = class_task(config_of(args), args.classes > 0 ? args.classes : small ? 10 : 1000);
  ImageTable any;
  any.count = 1;
  any.side = side;
  Described d{.title = fmt::format("{}, {} classes, images of {} pixels", task.model, task.options.classes, side),
              .options = task.options,
              .side = side,
              .per_pixel = false,
              .fuse = task.fuse,
              .graphs = {},
              .training = {},
              .notes = {}};
  d.warning = stem_warning(task, side);
  d.graphs = class_training_graphs(task, any);
  d.training = class_training_graph(task, any, final_phase(task.options.quant), &d.notes);
  class_evaluation_graph(task, 1, side, final_phase(task.options.quant), &d.folded);
  return d;
}

std::string codes_text(CodeRange r) { return fmt::format("[{}, {}]", r.n, r.p); }

const QuantizerSite* site_of(const std::vector<QuantizerSite>& sites, const std::string& name) {
  const auto it = std::find_if(sites.begin(), sites.end(), [&](const QuantizerSite& s) { return s.name == name; });
  return it == sites.end() ? nullptr : &*it;
}

int bits_for(CodeRange r) {
  int bits = 1;
  while ((1 << bits) < r.p - r.n + 1) ++bits;
  return bits;
}

// One line of the table, and what it adds to the total.
struct LayerRow {
  std::string name, input, output, weights, codes;
  Index params = 0, macs = 0, bytes = 0;
  void print() const {
    fmt::print("{:<24} {:<20} {:<20} {:>9} {:>12}  {:<12} {:<12} {:>10}\n", name, input, output, params, macs, weights,
               codes, bytes);
  }
};

LayerRow conv_row(const Graph& graph, const Node& node, const std::vector<QuantizerSite>& sites, bool per_pixel) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  const Shape &x = graph.spec(node.inputs[0]).shape, &w = graph.spec(node.inputs[1]).shape;
  const ConvGeometry g = conv_geometry(x, w, attrs.stride, attrs.pad);
  const QuantizerSite* weight = site_of(sites, node.name + ".weight");
  const QuantizerSite* input = site_of(sites, node.name + ".input");
  const Index biases = node.inputs[2] == kNoValue ? 0 : g.k;
  const Index steps = weight != nullptr && weight->per_channel ? g.k : 1;
  const bool pixels = graph.spec(node.inputs[0]).dtype == DType::kU8 && input == nullptr;
  LayerRow row{node.name, x.text(), graph.spec(node.outputs[0]).shape.text(),
               weight != nullptr ? codes_text(weight->range) : "float",
               input != nullptr ? codes_text(input->range) : std::string(pixels ? "u8 pixels" : "float")};
  row.params = w.elements() + biases;
  row.macs = per_pixel ? g.macs() / (g.p * g.q) : g.macs();
  row.bytes =
      weight != nullptr ? (w.elements() * bits_for(weight->range) + 7) / 8 + 4 * (biases + steps) : 4 * row.params;
  return row;
}

// Two trained values per channel, and two statistics that are stored besides.
LayerRow norm_row(const Graph& graph, const Node& node) {
  const Shape& x = graph.spec(node.inputs[0]).shape;
  LayerRow row{node.name, x.text(), x.text(), "float", "float"};
  row.params = 2 * x[3];
  row.bytes = 16 * x[3];
  return row;
}

// Layers as the user thinks of them: what has parameters, with what enters it.
void print_layers(const Described& d, const std::string& name) {
  Graph graph;
  const ValueId image = graph.add_input("image", {{1, d.side, d.side, 3}, DType::kU8});
  const BuiltModel model = find_model(name).build(graph, image, d.options);
  fmt::print("{:<24} {:<20} {:<20} {:>9} {:>12}  {:<12} {:<12} {:>10}\n", "layer", "input", "output", "params",
             d.per_pixel ? "MACs/LR px" : "MACs", "weights", "input codes", "bytes");
  LayerRow total{"total", "", "", "", ""};
  Index float_bytes = 0;
  for (const Node& node : graph.nodes()) {
    const bool is_norm = node.op == &batch_norm_op();
    if (node.op != &conv2d_op() && !is_norm) continue;
    const LayerRow row = is_norm ? norm_row(graph, node) : conv_row(graph, node, model.quantizers, d.per_pixel);
    row.print();
    total.params += row.params;
    total.macs += row.macs;
    total.bytes += row.bytes;
    float_bytes += is_norm ? row.bytes : 4 * row.params;
  }
  total.print();
  fmt::print("packed {} bytes, {:.1f}x smaller than float ({})\n", total.bytes,
             static_cast<double>(float_bytes) / static_cast<double>(total.bytes), float_bytes);
}

void print_notes(const std::vector<FusionNote>& notes) {
  for (const FusionNote& n : notes) {
    if (n.refusal.empty()) fmt::print("  {} <- {}\n", n.into, n.absorbed);
  }
  const auto apart = [](const FusionNote& n) { return !n.refusal.empty(); };
  if (std::none_of(notes.begin(), notes.end(), apart)) return;
  fmt::print("left apart:\n");
  for (const FusionNote& n : notes) {
    if (apart(n)) fmt::print("  {} | {}: {}\n", n.into, n.absorbed, n.refusal);
  }
}

void print_fusion(const Described& d) {
  fmt::print("\nfusion of the training step ({}):", d.fuse ? "all" : "none");
  if (d.notes.empty()) fmt::print(" nothing fused");
  fmt::print("\n");
  print_notes(d.notes);
  if (d.folded.empty()) return;
  fmt::print("\nevaluation, batch normalisation folded into the convolution before it:\n");
  print_notes(d.folded);
}

void print_memory(const Described& d, const DescribeArgs& args) {
  const Graph& graph = d.training;
  const ProgramSize size = plan_program(graph, DeviceKind::kCpu);
  const auto mib = [](Bytes b) { return static_cast<double>(b) / 1048576.0; };
  fmt::print(
      "\ntraining step, batch {}: {} nodes, arena {:.2f} MiB per network ({:.2f} MiB if no memory were shared)\n",
      args.batch, graph.nodes().size(), mib(size.per_replica), mib(size.plan.sum));
  const int slots = slots_in_use(find_optimizer(args.optimizer), resolve_settings(find_optimizer(args.optimizer)));
  fmt::print(
      "memory for {} network{} under {}: {}; evaluation takes more, depending on the images\n", args.replicas,
      args.replicas == 1 ? "" : "s", args.optimizer,
      plan_training(d.graphs, std::vector{final_phase(d.options.quant)}, *make_cpu_device(0), args.replicas, slots)
          .text());
  if (!d.warning.empty()) fmt::print("warning: {}\n", d.warning);
  if (!args.nodes) return;
  for (const Node& node : graph.nodes()) {
    std::vector<std::string> outputs;
    for (const ValueId id : node.outputs) outputs.push_back(graph.spec(id).text());
    fmt::print("  {:<28} {:<24} {}\n", node.name, node.op->name, join(outputs));
  }
}

void run_describe(const DescribeArgs& args) {
  const Described d =
      find_model(args.model).task == "super-resolution" ? describe_super_resolution(args) : describe_classifier(args);
  fmt::print("{}, W{}A{}\n", d.title, d.options.quant.weight_bits, d.options.quant.activation_bits);
  print_layers(d, args.model);
  print_fusion(d);
  print_memory(d, args);
}

}  // namespace

void refuse_options(const CLI::App& command, std::initializer_list<const char*> options, std::string_view where) {
  for (const char* option : options)
    if (command.count(option) > 0) fail<ConfigError>("{} has no effect {}", option, where);
}

void add_describe_command(CLI::App& app) {
  auto args = std::make_shared<DescribeArgs>();
  CLI::App* command = app.add_subcommand(
      "describe", "Layers, shapes, parameters, MACs, bits, bytes, fusion and planned memory of a model");
  command->add_option("MODEL", args->model, "Model: espcn, resnet18, resnet20 or resnet50")->required();
  command->add_option("--scale", args->scale, "espcn: enlargement, 2, 3 or 4");
  command->add_option("--bits", args->bits, "Bits of weights and activations: W,A (32,32: float)");
  command->add_option("--layers", args->layers, "Bits of single layers: 'layer4.*=4,4; fc=float'");
  command->add_option("--activation", args->activation, "espcn: relu or tanh");
  command->add_option("--patch", args->patch, "espcn: side of a training patch, low-resolution pixels");
  command->add_option("--size", args->size, "Classifiers: side of the images, pixels (default: 32 or 224)")
      ->check(CLI::Range(1, 4096));
  command->add_option("--classes", args->classes, "Classifiers: number of classes (default: 10 or 1000)")
      ->check(CLI::Range(2, 1 << 20));
  command->add_option("--stem", args->stem, "Residual networks: auto, imagenet or cifar");
  command->add_option("--shortcut", args->shortcut, "Residual networks: auto, a or b");
  command->add_option("--normalize", args->normalize,
                      "Classifiers: none, imagenet, cifar10, or mean/deviation of each colour: r,g,b/r,g,b");
  command->add_option("--batch", args->batch, "Samples per step");
  command->add_option("--optimizer", args->optimizer, "Optimizer, for the memory of its state");
  command->add_option("--replicas", args->replicas, "Networks trained together")->check(CLI::PositiveNumber);
  command->add_option("--fuse", args->fuse, "Graph fusion: all or none")->check(CLI::IsMember({"all", "none"}));
  command->add_flag("--nodes", args->nodes, "List every node of the training step");
  command->callback([args, command] {
    const bool enlarges = find_model(args->model).task == "super-resolution";
    if (enlarges) {
      refuse_options(*command, {"--size", "--classes", "--stem", "--shortcut", "--normalize"}, "on " + args->model);
    } else {
      refuse_options(*command, {"--scale", "--activation", "--patch"}, "on " + args->model);
    }
    run_describe(*args);
  });
}

}  // namespace gridstep
