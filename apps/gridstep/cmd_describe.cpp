// gridstep describe: what a network consists of, before anything is trained.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "apps/gridstep/commands.h"
#include "apps/gridstep/sr_task.h"
#include "apps/gridstep/task_runner.h"
#include "engine/base/error.h"
#include "engine/base/names.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/quantize/quantize.h"
#include "optim/registry.h"

namespace gridstep {
namespace {

struct DescribeArgs {
  std::string model, bits = "8,8", fuse = "all", activation = "relu", optimizer = "adam";
  int scale = 3, patch = 17, batch = 16, replicas = 1;
  bool nodes = false;
};

SrTask task_of(const DescribeArgs& args) {
  Config config;
  const Bits bits = parse_bits(args.bits);
  config.set("model.name", args.model, "MODEL");
  config.set("model.scale", std::int64_t{args.scale}, "--scale");
  config.set("model.activation", args.activation, "--activation");
  config.set("quant.weight_bits", bits.weights, "--bits");
  config.set("quant.activation_bits", bits.activations, "--bits");
  config.set("train.patch", std::int64_t{args.patch}, "--patch");
  config.set("train.batch", std::int64_t{args.batch}, "--batch");
  config.set("run.fuse", args.fuse, "--fuse");
  return sr_task(config);
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

// Layers as the user thinks of them: convolutions, with what enters them.
void print_layers(const SrTask& task) {
  Graph graph;
  const ValueId image = graph.add_input("image", {{1, task.patch, task.patch, 3}, DType::kU8});
  const BuiltModel model = find_model(task.model).build(graph, image, task.options);
  fmt::print("{:<8} {:<20} {:<20} {:>9} {:>12}  {:<14} {:<14} {:>10}\n", "layer", "input", "output", "params",
             "MACs/LR px", "weights", "input codes", "bytes");
  Index params = 0, macs = 0, bytes = 0;
  for (const Node& node : graph.nodes()) {
    if (node.op != &conv2d_op()) continue;
    const auto& attrs = node.attrs_as<Conv2dAttrs>();
    const Shape &x = graph.spec(node.inputs[0]).shape, &w = graph.spec(node.inputs[1]).shape;
    const ConvGeometry g = conv_geometry(x, w, attrs.stride, attrs.pad);
    const QuantizerSite* weight = site_of(model.quantizers, node.name + ".weight");
    const QuantizerSite* input = site_of(model.quantizers, node.name + ".input");
    const Index layer_params = w.elements() + g.k, layer_macs = g.macs() / (g.p * g.q);
    const Index steps = weight != nullptr && weight->per_channel ? g.k : 1;
    const Index layer_bytes =
        weight != nullptr ? (w.elements() * bits_for(weight->range) + 7) / 8 + 4 * (g.k + steps) : 4 * layer_params;
    const bool pixels = graph.spec(node.inputs[0]).dtype == DType::kU8 && input == nullptr;
    fmt::print("{:<8} {:<20} {:<20} {:>9} {:>12}  {:<14} {:<14} {:>10}\n", node.name, x.text(),
               graph.spec(node.outputs[0]).shape.text(), layer_params, layer_macs,
               weight != nullptr ? codes_text(weight->range) : "float",
               input != nullptr ? codes_text(input->range) : std::string(pixels ? "u8 pixels" : "float"), layer_bytes);
    params += layer_params;
    macs += layer_macs;
    bytes += layer_bytes;
  }
  fmt::print("{:<8} {:<20} {:<20} {:>9} {:>12}  {:<14} {:<14} {:>10}\n", "total", "", "", params, macs, "", "", bytes);
  fmt::print("packed {} bytes, {:.1f}x smaller than float ({})\n", bytes,
             static_cast<double>(4 * params) / static_cast<double>(bytes), 4 * params);
}

void print_fusion(const SrTask& task) {
  std::vector<FusionNote> notes;
  const Graph graph = sr_inference_graph(task, task.patch, task.patch, true, &notes);
  fmt::print("\nfusion ({}):", task.fuse ? "all" : "none");
  if (notes.empty()) fmt::print(" nothing fused");
  fmt::print("\n");
  for (const FusionNote& n : notes) fmt::print("  {} <- {}\n", n.into, n.absorbed);
}

void print_memory(const SrTask& task, const DescribeArgs& args) {
  PhotoTable any;  // only its being filled matters for shapes and memory
  any.count = 1;
  any.total_area = 1;
  const Graph graph = sr_training_graph(task, any, task.options.quant.enabled);
  const ProgramSize size = plan_program(graph, DeviceKind::kCpu);
  const auto mib = [](Bytes b) { return static_cast<double>(b) / 1048576.0; };
  fmt::print(
      "\ntraining step, batch {}, patch {}: {} nodes, arena {:.2f} MiB per network ({:.2f} MiB if no memory were "
      "shared)\n",
      args.batch, args.patch, graph.nodes().size(), mib(size.per_replica), mib(size.plan.sum));
  const int slots = slots_in_use(find_optimizer(args.optimizer), resolve_settings(find_optimizer(args.optimizer)));
  fmt::print("memory for {} network{} under {}: {}; evaluation takes more, depending on the images\n", args.replicas,
             args.replicas == 1 ? "" : "s", args.optimizer,
             plan_training(graph, DeviceKind::kCpu, args.replicas, slots).text());
  if (!args.nodes) return;
  for (const Node& node : graph.nodes()) {
    std::vector<std::string> outputs;
    for (const ValueId id : node.outputs) outputs.push_back(graph.spec(id).text());
    fmt::print("  {:<28} {:<24} {}\n", node.name, node.op->name, join(outputs));
  }
}

void run_describe(const DescribeArgs& args) {
  const SrTask task = task_of(args);
  fmt::print("{} x{}, W{}A{}\n", task.model, task.scale(), task.options.quant.weight_bits,
             task.options.quant.activation_bits);
  print_layers(task);
  print_fusion(task);
  print_memory(task, args);
}

}  // namespace

void add_describe_command(CLI::App& app) {
  auto args = std::make_shared<DescribeArgs>();
  CLI::App* command = app.add_subcommand(
      "describe", "Layers, shapes, parameters, MACs, bits, bytes, fusion and planned memory of a model");
  command->add_option("MODEL", args->model, "Model: espcn")->required();
  command->add_option("--scale", args->scale, "Enlargement: 2, 3 or 4");
  command->add_option("--bits", args->bits, "Bits of weights and activations: W,A (32,32: float)");
  command->add_option("--activation", args->activation, "relu or tanh");
  command->add_option("--patch", args->patch, "Side of a training patch, low-resolution pixels");
  command->add_option("--batch", args->batch, "Samples per step");
  command->add_option("--optimizer", args->optimizer, "Optimizer, for the memory of its state");
  command->add_option("--replicas", args->replicas, "Networks trained together")->check(CLI::PositiveNumber);
  command->add_option("--fuse", args->fuse, "Graph fusion: all or none")->check(CLI::IsMember({"all", "none"}));
  command->add_flag("--nodes", args->nodes, "List every node of the training step");
  command->callback([args] { run_describe(*args); });
}

}  // namespace gridstep
