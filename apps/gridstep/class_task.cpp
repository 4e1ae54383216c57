#include "apps/gridstep/class_task.h"

#include <algorithm>

#include "apps/gridstep/network_config.h"
#include "engine/graph/backward.h"
#include "engine/passes/emit_codes.h"
#include "engine/passes/fold.h"
#include "kernels/add/add.h"
#include "kernels/auto_augment/cifar10_policy.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

namespace gridstep {
namespace {

ModelOptions model_options(const ClassTask& task, const Phase& phase, NormMode norm) {
  ModelOptions options = task.options;
  set_phase(options.quant, phase);
  options.norm = norm;
  return options;
}

ImageBatch training_batch(Graph& graph, const ClassTask& task, const ImageTable& table) {
  ImageBatch batch = image_batch(graph, "batch",
                                 {.table = table,
                                  .batch = task.batch,
                                  .crop = table.side,
                                  .pad = task.pad,
                                  .mirror = task.mirror,
                                  .least_area = task.least_area});
  if (task.autoaugment == "cifar10") batch.images = auto_augment(graph, "augment", batch.images, {cifar10_policy()});
  return batch;
}

// The statistics are what counts: nothing reads the logits.
StatisticsGraph class_statistics_graph(const ClassTask& task, const ImageTable& table, const Phase& phase) {
  StatisticsGraph result;
  const ImageBatch batch = training_batch(result.graph, task, table);
  const BuiltModel model =
      find_model(task.model).build(result.graph, batch.images, model_options(task, phase, NormMode::kEstimate));
  set_conv_engine(result.graph, task.conv);
  if (task.fuse) fuse(result.graph);
  result.graph.mark_output(model.output);
  result.states = model.statistics;
  return result;
}

}  // namespace

ClassTask class_task(const Config& c, int classes) {
  ClassTask task;
  task.model = c.get_string("model.name");
  find_model(task.model);
  task.options.classes = classes;
  task.options.stem = c.get_string("model.stem");
  task.options.shortcut = c.get_string("model.shortcut");
  task.options.quant = quant_config(c);
  task.options.normalize = parse_normalization(c.get_string("data.normalize"));
  task.smoothing = static_cast<float>(c.get_float("train.label_smoothing"));
  task.batch = c.get_int("train.batch");
  task.pad = static_cast<int>(c.get_int("data.crop_padding"));
  task.mirror = c.get_bool("data.mirror");
  task.least_area = static_cast<float>(c.get_float("data.resized_crop"));
  task.autoaugment = c.get_string("data.autoaugment");
  task.fuse = c.get_string("run.fuse") == "all";
  task.fold = task.options.quant.codes;
  task.conv = conv_engine(c.get_string("run.conv"));
  task.gradients = conv_gradients(c.get_string("train.backward"));
  return task;
}

LabelledOptions labelled_data(const Config& c, const std::string& split) {
  const bool train = split == "train";
  LabelledOptions o;
  o.name = c.get_string("data.name");
  o.root = c.get_string("data.root");
  o.split = split;
  o.cache_dir = c.get_string("data.cache");
  o.size = static_cast<int>(c.get_int("data.size"));
  o.limit = static_cast<int>(c.get_int(train ? "data.train_limit" : "data.val_limit"));
  o.synthetic_images = static_cast<int>(c.get_int(train ? "data.synthetic_images" : "data.synthetic_val_images"));
  return o;
}

// At 64 pixels both stems are in use. Twice that leaves the CIFAR stem, which does not reduce, sixteen times the memory
// of its 32; half of it leaves the ImageNet stem, which reduces to a 32nd, a single pixel.
std::string stem_warning(const ClassTask& task, int side) {
  constexpr int kBoth = 64;
  const std::string stem = task.options.stem == "auto" ? std::string(find_model(task.model).stem) : task.options.stem;
  if (stem == "cifar" && side > kBoth) {
    return fmt::format(
        "images of {} pixels do not suit {}'s cifar stem, made for 32: nothing is reduced before the first stage; use "
        "model.stem = imagenet, or a smaller data.size",
        side, task.model);
  }
  if (stem == "imagenet" && side < kBoth) {
    return fmt::format(
        "images of {} pixels do not suit {}'s imagenet stem, made for 224: {} pixels a side are left behind the stem; "
        "use model.stem = cifar, or a larger data.size",
        side, task.model, (side + 3) / 4);
  }
  return {};
}

Graph class_training_graph(const ClassTask& task, const ImageTable& table, const Phase& phase,
                           std::vector<FusionNote>* notes) {
  Graph graph;
  const ImageBatch batch = training_batch(graph, task, table);
  const NormMode norm = phase.frozen_norm ? NormMode::kFrozen : NormMode::kTraining;
  const BuiltModel model = find_model(task.model).build(graph, batch.images, model_options(task, phase, norm));
  const CrossEntropy head = softmax_cross_entropy(graph, "loss", model.output, batch.labels, {task.smoothing});
  set_conv_engine(graph, task.conv);
  set_conv_gradients(graph, task.gradients);
  auto fused = task.fuse ? fuse(graph) : std::vector<FusionNote>{};
  if (notes != nullptr) *notes = std::move(fused);
  differentiate(graph, head.loss, add_op());
  if (task.fuse) emit_weight_codes(graph);
  return graph;
}

CalibrationGraph class_calibration_graph(const ClassTask& task, const ImageTable& table, const Phase& phase,
                                         NormMode norm) {
  CalibrationGraph result;
  const ImageBatch batch = training_batch(result.graph, task, table);
  const BuiltModel model = find_model(task.model).build(result.graph, batch.images, model_options(task, phase, norm));
  set_conv_engine(result.graph, task.conv);
  result.sites = model.quantizers;
  return result;
}

TrainingGraphs class_training_graphs(const ClassTask& task, const ImageTable& table) {
  ClassTask sample = task;
  sample.batch = std::min(task.batch, kHealthSamples);
  TrainingGraphs graphs;
  graphs.train = [=](const Phase& phase) { return class_training_graph(task, table, phase); };
  graphs.calibration = [=](const Phase& phase) {
    return class_calibration_graph(task, table, phase, phase.frozen_norm ? NormMode::kFrozen : NormMode::kCalibrate);
  };
  graphs.health = [=](const Phase& phase) { return class_calibration_graph(sample, table, phase, NormMode::kFrozen); };
  graphs.statistics = [=](const Phase& phase) { return class_statistics_graph(task, table, phase); };
  return graphs;
}

Graph class_evaluation_graph(const ClassTask& task, Index batch, int side, const Phase& phase,
                             std::vector<FusionNote>* notes) {
  Graph graph;
  const ValueId images = graph.add_input("images", {{batch, side, side, 3}, DType::kU8}, Storage::kShared);
  const ValueId labels = graph.add_input("labels", {{batch}, DType::kS32}, Storage::kShared);
  const BuiltModel model = find_model(task.model).build(graph, images, model_options(task, phase, NormMode::kFrozen));
  const CrossEntropy head = softmax_cross_entropy(graph, "loss", model.output, labels, {task.smoothing});
  set_conv_engine(graph, task.conv);
  graph.mark_output(head.loss);
  graph.mark_output(head.correct);
  auto folded = task.fold ? fold(graph) : std::vector<FusionNote>{};
  if (notes != nullptr) *notes = std::move(folded);
  if (!task.fuse) return graph;
  fuse(graph);
  run_at_start(graph);
  return graph;
}

}  // namespace gridstep
