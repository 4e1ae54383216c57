#include "apps/bench/kernel_cases.h"

#include "apps/bench/bandwidth.h"
#include "engine/base/philox.h"
#include "engine/device/plugin.h"
#include "kernels/add/add.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/image_loss/image_loss.h"
#include "kernels/pixel_shuffle/pixel_shuffle.h"
#include "kernels/quantize/quantize.h"
#include "kernels/relu/relu.h"
#include "kernels/tanh/tanh.h"
#include "optim/optimizer.h"
#include "optim/registry.h"

namespace gridstep::bench {
namespace {

// Of about unit variance, so that no branch of a kernel is left out.
std::vector<float> random_floats(Index n, std::uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; i += 4) {
    const auto random = philox({seed, Purpose::kTest, 0}, static_cast<std::uint64_t>(i));
    for (Index k = 0; k < 4 && i + k < n; ++k) {
      values[static_cast<std::size_t>(i + k)] = static_cast<float>(random.v[k] >> 8) * (4.0f / 16777216.0f) - 2.0f;
    }
  }
  return values;
}

void fill_input(Device& device, const Tensor& t, int copies, std::uint64_t seed) {
  if (t.dtype == DType::kF32) {
    const auto values = random_floats(t.elements(), seed);
    for (int r = 0; r < copies; ++r) {
      device.upload(t.at<std::byte>(r), values.data(), t.elements() * static_cast<Bytes>(sizeof(float)));
    }
    return;
  }
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(t.elements() * size_of(t.dtype)));
  for (std::size_t i = 0; i < codes.size(); ++i)
    codes[i] = static_cast<std::uint8_t>(philox({seed, Purpose::kTest, 1}, i).v[0]);
  for (int r = 0; r < copies; ++r) device.upload(t.at<std::byte>(r), codes.data(), static_cast<Bytes>(codes.size()));
}

// The graph's last node is the kernel; inputs named "step..." hold one positive number.
KernelCase of_graph(Device& device, Graph graph, int copies) {
  KernelCase c;
  const auto kernel = static_cast<NodeId>(graph.nodes().size()) - 1;
  const Node& node = graph.node(kernel);
  for (const ValueId id : node.inputs) {
    if (id != kNoValue) c.bytes += static_cast<double>(graph.spec(id).bytes());
  }
  for (const ValueId id : node.outputs) {
    c.bytes += static_cast<double>(graph.spec(id).bytes());
    graph.mark_output(id);
  }
  c.store = std::make_unique<ParameterStore>(device, graph.parameters(), copies, 0, false);
  c.program = std::make_unique<Program>(std::move(graph), *c.store);
  std::uint64_t seed = 1;
  for (const GraphValue& value : c.program->graph().values()) {
    if (value.storage != Storage::kInput) continue;
    const Tensor t = c.program->tensor(value.name);
    if (value.name.starts_with("step")) {
      const std::vector<float> step(static_cast<std::size_t>(t.elements()), 0.02f);
      for (int r = 0; r < copies; ++r) {
        device.upload(t.at<std::byte>(r), step.data(), t.elements() * static_cast<Bytes>(sizeof(float)));
      }
    } else {
      fill_input(device, t, copies, seed++);
    }
  }
  for (const Launch& launch : c.program->launches()) {
    if (launch.node == kernel) c.launches.push_back(launch);
  }
  c.scratch_bytes = c.program->scratch_bytes();
  return c;
}

// As activations lie: batch, height, width, channels; whole samples of 16 channels where the size allows it.
Shape image_shape(Index elements) {
  const Index n = elements >= Index{16} * 1024 ? 16 : 1;
  return {n, elements / n / 16, 1, 16};
}

KernelCase copy_case(Device& device, Index elements, int copies) {
  KernelCase c;
  const Bytes size = elements * 4;
  c.buffers.emplace_back(device, size * copies);
  c.buffers.emplace_back(device, size * copies);
  for (const Buffer& b : c.buffers) device.fill(b.data(), 1, b.size());
  for (int i = 0; i < copies; ++i) {
    c.launches.push_back(copy_launch(device, c.buffers[1].data() + size * i, c.buffers[0].data() + size * i, size));
  }
  c.bytes = 2.0 * static_cast<double>(size);
  return c;
}

template <class Build>
auto unary(Build build) {
  return [build](Device& device, Index elements, int copies) {
    Graph graph;
    build(graph, graph.add_input("x", {image_shape(elements), DType::kF32}));
    return of_graph(device, std::move(graph), copies);
  };
}

template <class Build>
auto binary(Build build) {
  return [build](Device& device, Index elements, int copies) {
    Graph graph;
    const ValueId a = graph.add_input("a", {image_shape(elements), DType::kF32});
    build(graph, a, graph.add_input("b", {image_shape(elements), DType::kF32}));
    return of_graph(device, std::move(graph), copies);
  };
}

QuantizeAttrs quantizer(bool per_channel) {
  QuantizeAttrs attrs;
  attrs.range = per_channel ? CodeRange{-127, 127} : CodeRange{0, 255};
  attrs.per_channel = per_channel;
  attrs.form = StepForm::kLinear;
  return attrs;
}

// Activations with one step, or weights with one step for each of 64 channels.
auto quantizer_case(bool per_channel, bool backward) {
  return [=](Device& device, Index elements, int copies) {
    Graph graph;
    const Shape shape = per_channel ? Shape{64, elements / 64} : image_shape(elements);
    const ValueId x = graph.add_input("x", {shape, DType::kF32});
    const ValueId step = graph.add_input("step", {{per_channel ? 64 : 1}, DType::kF32});
    const ValueId step0 = graph.add_input("step0", {{per_channel ? 64 : 1}, DType::kF32});
    if (backward) {
      const ValueId g = graph.add_input("g", {shape, DType::kF32});
      graph.add_node("quantize/backward", quantize_backward_op(), quantizer(per_channel), {x, step, step0, g});
    } else {
      quantize(graph, "quantize", x, step, step0, quantizer(per_channel));
    }
    return of_graph(device, std::move(graph), copies);
  };
}

// Batch normalisation, fused as at the end of a residual block: addition, ReLU and 8-bit codes. Its own sums need a
// second look at x (in training the convolution before brings them), as does any backward.
auto norm_case(bool backward) {
  return [=](Device& device, Index elements, int copies) {
    Graph graph;
    const auto image = [&](const char* name) { return graph.add_input(name, {image_shape(elements), DType::kF32}); };
    const auto channel = [&](const char* name) { return graph.add_input(name, {{16}, DType::kF32}); };
    BatchNormAttrs attrs;
    attrs.add = attrs.relu = true;
    attrs.quantize = quantizer(false);
    const ValueId x = image("x"), gamma = channel("gamma"), beta = channel("beta"), mean = channel("mean");
    const ValueId deviation = channel("step deviation");
    const ValueId step = graph.add_input("step", {{1}, DType::kF32}),
                  step0 = graph.add_input("step0", {{1}, DType::kF32});
    if (backward) {
      graph.add_node("norm/backward", batch_norm_backward_op(), attrs,
                     {x, gamma, beta, mean, deviation, image("dy"), image("y"), image("g"), step, step0});
    } else {
      graph.add_node("norm", batch_norm_op(), attrs, {x, gamma, beta, mean, deviation, image("residual"), step, step0});
    }
    return of_graph(device, std::move(graph), copies);
  };
}

KernelCase loss_case(Device& device, Index elements, int copies) {
  Graph graph;
  const Shape shape{1, elements / 3 / 16 + 1, 16, 3};
  const ValueId x = graph.add_input("x", {shape, DType::kF32});
  image_loss(graph, "loss", x, graph.add_input("target", {shape, DType::kU8}), LossKind::kMse);
  return of_graph(device, std::move(graph), copies);
}

// `elements` floats of weights in tensors of at most 2^20, as networks have them.
KernelCase optimizer_case(const std::string& name, Device& device, Index elements, int copies) {
  const int rule = find_optimizer(name);
  const Settings settings = resolve_settings(rule);
  const int slots = slots_in_use(rule, settings);
  std::vector<ParameterInfo> table;
  for (Index left = elements; left > 0; left -= std::min<Index>(left, Index{1} << 20)) {
    const Index size = std::min<Index>(left, Index{1} << 20);
    const Index units = size >= 64 ? 64 : 1;
    table.push_back({.name = fmt::format("w{}", table.size()), .shape = {units, size / units}, .init_std = 1.0f});
  }
  KernelCase c;
  c.store = std::make_unique<ParameterStore>(device, table, copies, slots, true);
  ParameterStore& store = *c.store;
  store.initialise(std::vector<std::uint64_t>(static_cast<std::size_t>(copies), 1));
  const auto gradients = random_floats(store.stride(), 2);
  std::vector<StepParams> params(static_cast<std::size_t>(copies));
  for (int r = 0; r < copies; ++r) {
    store.upload(store.gradients(), r, gradients);
    prepare_step(rule, settings, 10, 1e-6, params[static_cast<std::size_t>(r)]);
  }
  store.upload_params(params);
  OptimizerArena arena{
      .weights = store.weights(), .gradients = store.gradients(), .stride = store.stride(), .size = store.trained()};
  for (int k = 0; k < slots; ++k) arena.slots[static_cast<std::size_t>(k)] = store.slot(k);
  for (std::size_t p = 0; p < table.size(); ++p) {
    const Index size = table[p].shape.elements();
    arena.segments.push_back(
        {.begin = store.offset(static_cast<int>(p)), .size = size, .unit = size / table[p].shape[0]});
  }
  arena.rules = {rule};
  Recorder recorder(device, copies, store.params(), store.status());
  recorder.set_node(-1, "optimizer");
  if (device.kind() == DeviceKind::kCpu) {
    record_optimizer(recorder, arena);
  } else {
    cuda_plugin().registry->record_optimizer(recorder, arena);
  }
  c.launches = recorder.take_launches();
  c.scratch_bytes = recorder.scratch_bytes();
  c.bytes = (3.0 + 2.0 * slots) * 4.0 * static_cast<double>(store.trained());
  return c;
}

}  // namespace

const std::vector<KernelFamily>& kernel_families() {
  static const std::vector<KernelFamily> families = [] {
    std::vector<KernelFamily> list{
        {"copy", copy_case},
        {"quantize", quantizer_case(false, false)},
        {"quantize_channels", quantizer_case(true, false)},
        {"quantize_backward", quantizer_case(false, true)},
        {"quantize_backward_channels", quantizer_case(true, true)},
        {"batch_norm", norm_case(false)},
        {"batch_norm_backward", norm_case(true)},
        {"relu", unary([](Graph& g, ValueId x) { relu(g, "relu", x); })},
        {"tanh", unary([](Graph& g, ValueId x) { tanh(g, "tanh", x); })},
        {"add", binary([](Graph& g, ValueId a, ValueId b) { add(g, "add", a, b); })},
        {"pixel_shuffle", unary([](Graph& g, ValueId x) { pixel_shuffle(g, "shuffle", x, {.upscale = 2}); })},
        {"image_loss", loss_case},
    };
    for (const std::string& name : optimizer_names()) {
      list.push_back({name, [name](Device& device, Index elements, int copies) {
                        return optimizer_case(name, device, elements, copies);
                      }});
    }
    return list;
  }();
  return families;
}

}  // namespace gridstep::bench
