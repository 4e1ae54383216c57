// Super-resolution as a task: the graphs of training, calibration, inference and measurement for a configuration.
#pragma once

#include <string>

#include "data/dataset.h"
#include "engine/passes/fuse.h"
#include "engine/study/config.h"
#include "engine/train/population.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/image_loss/image_loss.h"
#include "kernels/patch_batch/patch_batch.h"
#include "models/model.h"

namespace gridstep {

struct SrTask {
  std::string model;
  ModelOptions options;
  LossKind loss = LossKind::kMse;
  Index batch = 16;
  int patch = 17;
  bool fuse = true;
  ConvEngine conv = ConvEngine::kAuto;
  ConvGradients gradients = ConvGradients::kFloat32;

  int scale() const { return options.scale; }
  int crop_y() const { return options.scale; }        // the benchmark convention
  int crop_rgb() const { return options.scale + 6; }  // DIV2K's
};

SrTask sr_task(const Config& config);
SrDataOptions sr_data(const Config& config, const std::string& split);

Graph sr_training_graph(const SrTask& task, const PhotoTable& table, const Phase& phase,
                        std::vector<FusionNote>* notes = nullptr);
CalibrationGraph sr_calibration_graph(const SrTask& task, const PhotoTable& table, const Phase& phase);
// The graphs of all phases, on photos that outlive them.
TrainingGraphs sr_training_graphs(const SrTask& task, const PhotoTable& table);

// Inputs "lr" (u8, shared) -> output "pixels" (u8), for one image of h x w.
Graph sr_inference_graph(const SrTask& task, int h, int w, const Phase& phase);

// Inputs "prediction" (u8) and "hr" (u8, shared) -> outputs "psnr" (f64: psnr_rgb, psnr_y, mse_rgb, mse_y), "loss"
// (f64) and, if asked for, "ssim" (f64: ssim_rgb, ssim_y), for one image of h x w.
Graph sr_metrics_graph(const SrTask& task, int h, int w, bool with_ssim);

}  // namespace gridstep
