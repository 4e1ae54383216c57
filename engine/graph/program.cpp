#include "engine/graph/program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/device/plugin.h"

namespace gridstep {
namespace {

constexpr Bytes kGuardBytes = 256;
constexpr unsigned char kGuardByte = 0xA5;
constexpr int kPoison = 0xFF;  // NaN in every float

std::vector<ValueSpec> input_specs(const Graph& graph, const Node& node) {
  std::vector<ValueSpec> specs;
  for (const ValueId id : node.inputs) specs.push_back(id == kNoValue ? ValueSpec{} : graph.spec(id));
  return specs;
}

std::vector<Bytes> workspaces(const Graph& graph, DeviceKind device) {
  std::vector<Bytes> sizes;
  for (const Node& node : graph.nodes()) sizes.push_back(workspace_bytes(node, input_specs(graph, node), device));
  return sizes;
}

template <class T>
Index first_not_finite(const T* p, Index n) {
  for (Index i = 0; i < n; ++i) {
    if (!std::isfinite(p[i])) return i;
  }
  return -1;
}

}  // namespace

void Recorder::launch(std::string_view suffix, int tasks, std::function<void(const TaskContext&)> run) {
  std::string label = suffix.empty() ? name_ : fmt::format("{}/{}", name_, suffix);
  launches_.push_back({node_, std::move(label), tasks, std::move(run)});
}

ProgramSize plan_program(const Graph& graph, DeviceKind device, bool debug) {
  ProgramSize size;
  size.plan = plan_memory(graph, workspaces(graph, device), {.guard_bytes = debug ? kGuardBytes : 0});
  size.per_replica = size.plan.peak;
  if (device != DeviceKind::kCpu) return size;
  for (const Node& node : graph.nodes()) {
    if (node.op->scratch == nullptr) continue;
    size.per_thread = std::max(size.per_thread, node.op->scratch(node, input_specs(graph, node)));
  }
  return size;
}

Program::Program(Graph graph, ParameterStore& store, const ProgramOptions& options)
    : graph_(std::move(graph)), store_(store), debug_(options.debug), shared_offsets_(graph_.values().size(), -1) {
  Device& device = store_.device();
  ProgramSize size = plan_program(graph_, device.kind(), debug_);
  plan_ = std::move(size.plan);
  arena_ = Buffer(device, plan_.peak * store_.replicas());
  device.fill(arena_.data(), debug_ ? kPoison : 0, arena_.size());
  Bytes shared = 0;
  for (std::size_t v = 0; v < shared_offsets_.size(); ++v) {
    if (graph_.values()[v].storage != Storage::kShared) continue;
    shared_offsets_[v] = shared;
    shared += align_up(graph_.values()[v].spec.bytes());
  }
  if (shared > 0) shared_ = Buffer(device, shared);

  Recorder recorder(device, store_.replicas(), store_.params(), store_.status());
  Recorder start = recorder;
  std::vector<BoundNode> at_start;
  for (std::size_t n = 0; n < graph_.nodes().size(); ++n) {
    const Node& node = graph_.nodes()[n];
    BoundNode bound{node, {}, {}, {}};
    for (const ValueId id : node.inputs) bound.in.push_back(id == kNoValue ? Tensor{} : bind(id));
    for (const ValueId id : node.outputs) bound.out.push_back(bind(id));
    const PlannedBlock& w = plan_.workspaces[n];
    if (w.size > 0) bound.workspace = {arena_.data() + w.offset, {w.size}, DType::kU8, plan_.peak};
    Recorder& where = node.at_start ? start : recorder;
    where.set_node(static_cast<int>(n), node.name);
    launcher(*node.op, device.kind())(where, bound);
    if (node.at_start) at_start.push_back(std::move(bound));
  }
  GS_CHECK(
      std::max(recorder.scratch_bytes(), start.scratch_bytes()) <= size.per_thread || device.kind() != DeviceKind::kCpu,
      "launches scratch in {} bytes, {} were planned", recorder.scratch_bytes(), size.per_thread);
  if (options.epilogue) {
    recorder.set_node(-1, "optimizer");
    options.epilogue(recorder, at_start);
  }
  scratch_bytes_ = std::max(size.per_thread, recorder.scratch_bytes());
  start_launches_ = start.take_launches();
  launches_ = recorder.take_launches();
  replay_ = device.prepare(launches_, store_.replicas(), scratch_bytes_, options.capture);
}

Tensor Program::bind_parameter(const GraphValue& value) const {
  const std::string& name = graph_.parameters()[static_cast<std::size_t>(value.parameter)].name;
  const int index = store_.find(name);
  GS_CHECK(index >= 0, "parameter '{}' of the program is not in the store", name);
  const Tensor t = value.storage == Storage::kGradient ? store_.gradient(index) : store_.weight(index);
  GS_CHECK(t.shape.elements() == value.spec.shape.elements(), "parameter '{}' has shape {}, the program wants {}", name,
           t.shape.text(), value.spec.shape.text());
  return {t.data, value.spec.shape, t.dtype, t.replica_stride};
}

Tensor Program::bind(ValueId id) const {
  const GraphValue& value = graph_.value(id);
  if (value.storage == Storage::kParameter || value.storage == Storage::kGradient) return bind_parameter(value);
  if (value.storage == Storage::kShared) {
    return {shared_.data() + shared_offsets_[static_cast<std::size_t>(id)], value.spec.shape, value.spec.dtype, 0};
  }
  const PlannedBlock& block = plan_.values[static_cast<std::size_t>(id)];
  if (block.size == 0) return {nullptr, value.spec.shape, value.spec.dtype, 0};
  return {arena_.data() + block.offset, value.spec.shape, value.spec.dtype, plan_.peak};
}

Tensor Program::tensor(std::string_view name) const {
  const ValueId id = graph_.find_value(name);
  GS_CHECK(id != kNoValue, "the program has no value named '{}'", name);
  const Storage s = graph_.value(id).storage;
  GS_CHECK(s != Storage::kActivation, "'{}' is neither an input nor an output: its memory is shared with others", name);
  return bind(id);
}

void Program::run() {
  if (!start_launches_.empty() && started_ != store_.revision()) run_start();
  started_ = store_.revision();
  if (debug_) return run_debug(launches_);
  replay_->run();
}

void Program::run_nodes(NodeId begin, NodeId end) {
  GS_CHECK(start_launches_.empty(), "a program with nodes that run at its start runs as a whole");
  std::vector<Launch> part;
  for (const Launch& launch : launches_) {
    if (launch.node >= begin && launch.node < end) part.push_back(launch);
  }
  if (debug_) return run_debug(part);
  store_.device().run(part, store_.replicas(), scratch_bytes_);
}

Tensor Program::live_tensor(std::string_view name) const {
  const ValueId id = graph_.find_value(name);
  GS_CHECK(id != kNoValue, "the program has no value named '{}'", name);
  return bind(id);
}

void Program::run_start() {
  if (debug_) return run_debug(start_launches_);
  store_.device().run(start_launches_, store_.replicas(), scratch_bytes_);
}

void Program::run_debug(const std::vector<Launch>& launches) {
  Device& device = store_.device();
  for (std::size_t i = 0; i < launches.size(); ++i) {
    const int node = launches[i].node;
    const bool first = i == 0 || launches[i - 1].node != node;
    const bool last = i + 1 == launches.size() || launches[i + 1].node != node;
    if (first && node >= 0) prepare_node(node);
    device.run({launches[i]}, store_.replicas(), scratch_bytes_);
    device.synchronize();
    if (!last || node < 0) continue;
    check_guards(node);
    check_node(node);
  }
}

// Outputs and workspace lie in memory that other values use at other times: their poison and guards are set anew around
// each node, so that old content cannot pass as this node's result.
void Program::prepare_node(NodeId node) const {
  Device& device = store_.device();
  const auto guard = [&](const PlannedBlock& b) {
    if (b.size == 0) return;
    for (int r = 0; r < store_.replicas(); ++r) {
      std::byte* block = arena_.data() + plan_.peak * r + b.offset;
      device.fill(block - kGuardBytes, kGuardByte, kGuardBytes);
      device.fill(block, kPoison, b.size);
      device.fill(block + b.size, kGuardByte, kGuardBytes);
    }
  };
  for (const ValueId id : graph_.node(node).outputs) {
    guard(plan_.values[static_cast<std::size_t>(id)]);
    const Tensor t = bind(id);
    if (graph_.value(id).storage != Storage::kGradient) continue;
    for (int r = 0; r < store_.replicas(); ++r) {
      device.fill(t.at<std::byte>(r), kPoison, t.elements() * size_of(t.dtype));
    }
  }
  guard(plan_.workspaces[static_cast<std::size_t>(node)]);
}

void Program::check_guards(NodeId node) const {
  const auto check = [&](const PlannedBlock& b, const std::string& what) {
    if (b.size == 0) return;
    for (int r = 0; r < store_.replicas(); ++r) {
      for (const Bytes at : {b.offset - kGuardBytes, b.offset + b.size}) {
        unsigned char guard[kGuardBytes];
        store_.device().download(guard, arena_.data() + plan_.peak * r + at, kGuardBytes);
        for (const unsigned char g : guard) {
          GS_CHECK(g == kGuardByte, "{} wrote outside its {} (replica {})", graph_.node(node).name, what, r);
        }
      }
    }
  };
  for (const ValueId id : graph_.node(node).outputs)
    check(plan_.values[static_cast<std::size_t>(id)], "output " + graph_.value(id).name);
  check(plan_.workspaces[static_cast<std::size_t>(node)], "workspace");
}

void Program::check_node(NodeId node) const {
  for (const ValueId id : graph_.node(node).outputs) {
    const Tensor t = bind(id);
    if (t.data == nullptr || (t.dtype != DType::kF32 && t.dtype != DType::kF64)) continue;
    const Bytes bytes = t.elements() * size_of(t.dtype);
    std::vector<std::byte> host(static_cast<std::size_t>(bytes));
    for (int r = 0; r < store_.replicas(); ++r) {
      store_.device().download(host.data(), t.at<std::byte>(r), bytes);
      const Index bad = t.dtype == DType::kF32
                            ? first_not_finite(reinterpret_cast<const float*>(host.data()), t.elements())
                            : first_not_finite(reinterpret_cast<const double*>(host.data()), t.elements());
      GS_CHECK(bad < 0, "{} wrote a NaN or infinity: element {} of {} {} (replica {})", graph_.node(node).name, bad,
               graph_.value(id).name, t.shape.text(), r);
    }
  }
}

}  // namespace gridstep
