#include "apps/gridstep/sr_task.h"

#include <algorithm>

#include "apps/gridstep/network_config.h"
#include "engine/base/error.h"
#include "engine/graph/backward.h"
#include "engine/passes/emit_codes.h"
#include "kernels/add/add.h"
#include "kernels/pixels_from_float/pixels_from_float.h"
#include "kernels/pixels_to_float/pixels_to_float.h"
#include "kernels/psnr/psnr.h"
#include "kernels/ssim/ssim.h"

namespace gridstep {
namespace {

ModelOptions model_options(const SrTask& task, const Phase& phase) {
  ModelOptions options = task.options;
  set_phase(options.quant, phase);
  return options;
}

}  // namespace

SrTask sr_task(const Config& c) {
  SrTask task;
  task.model = c.get_string("model.name");
  find_model(task.model);
  task.options.scale = static_cast<int>(c.get_int("model.scale"));
  task.options.activation = c.get_string("model.activation");
  task.options.quant = quant_config(c);
  task.loss = parse_loss(c.get_string("train.loss"));
  task.batch = c.get_int("train.batch");
  task.patch = static_cast<int>(c.get_int("train.patch"));
  task.fuse = c.get_string("run.fuse") == "all";
  task.conv = conv_engine(c.get_string("run.conv"));
  task.gradients = conv_gradients(c.get_string("train.backward"));
  return task;
}

SrDataOptions sr_data(const Config& c, const std::string& split) {
  SrDataOptions o;
  o.name = c.get_string("data.name");
  o.root = c.get_string("data.root");
  o.split = split;
  o.scale = static_cast<int>(c.get_int("model.scale"));
  o.border = c.get_string("data.border") == "replicate" ? Border::kReplicate : Border::kMirror;
  o.cache_dir = c.get_string("data.cache");
  o.limit = static_cast<int>(c.get_int(split == "train" ? "data.train_limit" : "data.val_limit"));
  o.synthetic_images =
      static_cast<int>(c.get_int(split == "train" ? "data.synthetic_images" : "data.synthetic_val_images"));
  o.synthetic_size = static_cast<int>(c.get_int("data.synthetic_size"));
  return o;
}

Graph sr_training_graph(const SrTask& task, const PhotoTable& table, const Phase& phase,
                        std::vector<FusionNote>* notes) {
  Graph graph;
  const PatchBatch batch = patch_batch(graph, "batch", {table, task.batch, task.patch, task.scale()});
  const BuiltModel model = find_model(task.model).build(graph, batch.lr, model_options(task, phase));
  const ValueId loss = image_loss(graph, "loss", model.output, batch.hr, task.loss);
  set_conv_engine(graph, task.conv);
  set_conv_gradients(graph, task.gradients);
  auto fused = task.fuse ? fuse(graph) : std::vector<FusionNote>{};
  if (notes != nullptr) *notes = std::move(fused);
  differentiate(graph, loss, add_op());
  if (task.fuse) emit_weight_codes(graph);
  return graph;
}

CalibrationGraph sr_calibration_graph(const SrTask& task, const PhotoTable& table, const Phase& phase) {
  CalibrationGraph result;
  const PatchBatch batch = patch_batch(result.graph, "batch", {table, task.batch, task.patch, task.scale()});
  const BuiltModel model = find_model(task.model).build(result.graph, batch.lr, model_options(task, phase));
  set_conv_engine(result.graph, task.conv);
  result.sites = model.quantizers;
  return result;
}

TrainingGraphs sr_training_graphs(const SrTask& task, const PhotoTable& table) {
  SrTask sample = task;
  sample.batch = std::min(task.batch, kHealthSamples);
  return {.train = [=](const Phase& phase) { return sr_training_graph(task, table, phase); },
          .calibration = [=](const Phase& phase) { return sr_calibration_graph(task, table, phase); },
          .health = [=](const Phase& phase) { return sr_calibration_graph(sample, table, phase); }};
}

Graph sr_inference_graph(const SrTask& task, int h, int w, const Phase& phase) {
  Graph graph;
  const ValueId lr = graph.add_input("lr", {{1, h, w, 3}, DType::kU8}, Storage::kShared);
  const BuiltModel model = find_model(task.model).build(graph, lr, model_options(task, phase));
  const ValueId pixels = pixels_from_float(graph, "pixels", model.output);
  set_conv_engine(graph, task.conv);
  if (task.fuse) fuse(graph);
  graph.mark_output(pixels);
  return graph;
}

Graph sr_metrics_graph(const SrTask& task, int h, int w, bool with_ssim) {
  Graph graph;
  const ValueId prediction = graph.add_input("prediction", {{1, h, w, 3}, DType::kU8});
  const ValueId hr = graph.add_input("hr", {{1, h, w, 3}, DType::kU8}, Storage::kShared);
  const ValueId real = pixels_to_float(graph, "real", prediction);
  graph.mark_output(psnr(graph, "psnr", real, hr, {.rgb_crop = task.crop_rgb(), .y_crop = task.crop_y()}));
  graph.mark_output(image_loss(graph, "loss", real, hr, task.loss));
  if (with_ssim)
    graph.mark_output(ssim(graph, "ssim", prediction, hr, {.rgb_crop = task.crop_rgb(), .y_crop = task.crop_y()}));
  return graph;
}

}  // namespace gridstep
