#include "apps/gridstep/class_evaluator.h"

#include <algorithm>

#include "engine/base/error.h"

namespace gridstep {
namespace {

constexpr Index kBatch = 100;

Bytes weight_bytes(const Graph& graph) {
  Bytes bytes = 0;
  for (const ParameterInfo& p : graph.parameters()) bytes += align_up(p.shape.elements() * 4);
  return bytes;
}

}  // namespace

ClassEvaluator::ClassEvaluator(ClassTask task, const LabelledDataset& images, std::int64_t count, Bytes memory)
    : task_(std::move(task)), images_(images), count_(std::min<Index>(count, images.count())), memory_(memory) {}

std::vector<Index> ClassEvaluator::batch_sizes() const {
  if (count_ <= kBatch) return {count_};
  if (count_ % kBatch == 0) return {kBatch};
  return {kBatch, count_ % kBatch};
}

Bytes ClassEvaluator::bytes_of_one(DeviceKind device, const Phase& phase) const {
  Bytes bytes = 0;
  for (const Index n : batch_sizes()) {
    const Graph graph = class_evaluation_graph(task_, n, images_.side(), phase);
    if (bytes == 0) bytes = weight_bytes(graph);
    bytes += plan_program(graph, device).per_replica;
  }
  return bytes;
}

Bytes ClassEvaluator::scratch_per_thread(DeviceKind device, const Phase& phase) const {
  return plan_program(class_evaluation_graph(task_, batch_sizes().front(), images_.side(), phase), device).per_thread;
}

int ClassEvaluator::group_size(DeviceKind device, int replicas, const Phase& phase) const {
  const Bytes one = bytes_of_one(device, phase);
  if (one > memory_) {
    fail<DeviceError>(
        "evaluating one network needs {} MiB, {} MiB are to be had for it; use smaller images (data.size)", one >> 20,
        memory_ >> 20);
  }
  return static_cast<int>(std::clamp<Bytes>(memory_ / std::max<Bytes>(one, 1), 1, replicas));
}

Bytes ClassEvaluator::planned_bytes(DeviceKind device, int replicas, const Phase& phase) const {
  return bytes_of_one(device, phase) * group_size(device, replicas, phase);
}

// Programs belong to the store they were recorded for, and to a phase.
void ClassEvaluator::prepare(const ParameterStore& store, int group, const Phase& phase) {
  const bool fits = store_ && &store_->store().device() == &store.device() && store_->store().replicas() == group &&
                    store_->store().stride() == store.stride();
  if (!fits || !phase_.same_bits(phase)) programs_.clear();
  phase_ = phase;
  if (!fits) store_ = std::make_unique<EvaluationStore>(store, group);
  for (const Index n : batch_sizes()) {
    std::unique_ptr<Program>& program = programs_[n];
    if (program) continue;
    program = std::make_unique<Program>(class_evaluation_graph(task_, n, images_.side(), phase), store_->store());
  }
}

void ClassEvaluator::measure(Program& program, Index first, Index n, int replicas, ClassMetrics* sums) {
  Device& device = store_->store().device();
  const Bytes image_bytes = Bytes{3} * images_.side() * images_.side();
  device.upload(program.tensor("images").at<std::byte>(0), images_.pixels() + first * image_bytes, n * image_bytes);
  device.upload(program.tensor("labels").at<std::byte>(0), images_.labels().data() + first,
                n * static_cast<Bytes>(sizeof(std::int32_t)));
  program.run();
  device.synchronize();
  for (int r = 0; r < replicas; ++r) {
    double loss, correct[2];
    device.download(&loss, program.tensor("loss:0").at<std::byte>(r), sizeof loss);
    device.download(correct, program.tensor("loss:1").at<std::byte>(r), sizeof correct);
    sums[r].loss += loss * static_cast<double>(n);
    sums[r].top1 += correct[0];
    sums[r].top5 += correct[1];
  }
}

std::vector<ClassMetrics> ClassEvaluator::evaluate(const ParameterStore& store, const Phase& phase) {
  const int group = group_size(store.device().kind(), store.replicas(), phase);
  prepare(store, group, phase);
  std::vector<ClassMetrics> results(static_cast<std::size_t>(store.replicas()));
  const Index step = batch_sizes().front();
  for (int begin = 0; begin < store.replicas(); begin += group) {
    const int replicas = std::min(group, store.replicas() - begin);
    store_->take(store, begin, replicas);
    ClassMetrics* const sums = results.data() + begin;
    for (Index first = 0; first < count_; first += step) {
      const Index n = std::min(step, count_ - first);
      measure(*programs_.at(n), first, n, replicas, sums);
    }
    const std::vector<bool> faults = store_->faults();
    for (int r = 0; r < replicas; ++r) sums[r].fault = faults[static_cast<std::size_t>(r)];
  }
  for (ClassMetrics& m : results) {
    m.loss /= static_cast<double>(count_);
    m.top1 *= 100.0 / static_cast<double>(count_);
    m.top5 *= 100.0 / static_cast<double>(count_);
  }
  return results;
}

}  // namespace gridstep
