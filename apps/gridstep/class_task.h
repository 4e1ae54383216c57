// Classification as a task: the graphs of training, calibration and measurement for a configuration.
#pragma once

#include <string>

#include "data/labelled.h"
#include "engine/passes/fuse.h"
#include "engine/study/config.h"
#include "engine/train/population.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/image_batch/image_batch.h"
#include "models/model.h"

namespace gridstep {

struct ClassTask {
  std::string model;
  ModelOptions options;  // classes: those of the data
  float smoothing = 0.0f;
  Index batch = 128;
  int pad = 0;  // of the random crop
  bool mirror = false;
  float least_area = 1.0f;  // below 1: random resized crops
  std::string autoaugment = "none";
  bool fuse = true;
  // In evaluation, batch normalisation into convolutions; not where float arithmetic is the reference.
  bool fold = true;
  ConvEngine conv = ConvEngine::kAuto;
  ConvGradients gradients = ConvGradients::kFloat32;
};

ClassTask class_task(const Config& config, int classes);
LabelledOptions labelled_data(const Config& config, const std::string& split);

// Why images of `side` pixels do not suit the network's stem; empty when they do.
std::string stem_warning(const ClassTask& task, int side);

Graph class_training_graph(const ClassTask& task, const ImageTable& table, const Phase& phase,
                           std::vector<FusionNote>* notes = nullptr);
CalibrationGraph class_calibration_graph(const ClassTask& task, const ImageTable& table, const Phase& phase,
                                         NormMode norm = NormMode::kCalibrate);
// The graphs of all phases, on images that outlive them.
TrainingGraphs class_training_graphs(const ClassTask& task, const ImageTable& table);

// Inputs "images" (u8 (N, side, side, 3), shared) and "labels" (s32 (N), shared) -> outputs "loss" (f64, the mean) and
// "loss:1" (f64 (2): how many were right, and right among the first five). Running statistics. `notes`: what was
// folded.
Graph class_evaluation_graph(const ClassTask& task, Index batch, int side, const Phase& phase,
                             std::vector<FusionNote>* notes = nullptr);

}  // namespace gridstep
