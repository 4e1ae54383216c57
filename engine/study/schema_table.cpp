#include "engine/study/schema_table.h"

#include <string>
#include <utility>

#include "optim/registry.h"

namespace gridstep::detail {
namespace {

constexpr auto kStudy = KeyScope::kStudy;
constexpr auto kArch = KeyScope::kArchitecture;
constexpr auto kReplica = KeyScope::kReplica;
constexpr auto kRun = KeyScope::kRun;

constexpr double kMany = 1e9;  // bound of counts: everything below fits 32 bits
constexpr KeyRange kCount{1, kMany};
constexpr KeyRange kZeroOrMore{0, kMany};
constexpr KeyRange kNotNegative{.lo = 0};
constexpr KeyRange kPositive{.lo = 0, .lo_open = true};
constexpr KeyRange kBelowOne{.lo = 0, .hi = 1, .hi_open = true};
constexpr KeyRange kUnit{0, 1};

struct Place {
  KeyScope scope;
  const char* tag;
};

KeyInfo whole(const char* name, std::int64_t fallback, KeyRange range, Place place, const char* help,
              std::vector<std::int64_t> extra = {}) {
  return {name, KeyType::kInt, fallback, range, std::move(extra), {}, place.scope, place.tag, help};
}
KeyInfo real(const char* name, Value fallback, KeyRange range, Place place, const char* help) {
  return {name, KeyType::kFloat, std::move(fallback), range, {}, {}, place.scope, place.tag, help};
}
KeyInfo text(const char* name, const char* fallback, std::vector<std::string> choices, Place place, const char* help) {
  return {name, KeyType::kString, std::string(fallback), {}, {}, std::move(choices), place.scope, place.tag, help};
}
KeyInfo flag(const char* name, Value fallback, Place place, const char* help) {
  return {name, KeyType::kBool, std::move(fallback), {}, {}, {}, place.scope, place.tag, help};
}
KeyInfo list(const char* name, KeyRange range, Place place, const char* help) {
  return {name, KeyType::kList, std::vector<std::int64_t>{}, range, {}, {}, place.scope, place.tag, help};
}

using Rows = std::vector<KeyInfo>;

Rows model_rows() {
  return {
      text("study.name", "study", {}, {kStudy, ""}, "name of the study and of its run folder"),
      text("study.metric", "auto", {"auto", "psnr_y", "psnr_rgb", "ssim", "top1", "top5", "loss"}, {kStudy, ""},
           "what the table ranks by and the best epoch is chosen by; auto: psnr_y for super-resolution, else top1"),
      text("study.reference", "", {}, {kStudy, ""},
           "variant whose networks the column `drop` compares the others with, seed by seed"),
      text("model.name", "espcn", {"espcn", "resnet18", "resnet20", "resnet50"}, {kArch, ""}, "network"),
      whole("model.scale", 3, {2, 4}, {kArch, "x"}, "enlargement of super-resolution"),
      text("model.activation", "relu", {"relu", "tanh"}, {kArch, ""}, "activation function of espcn"),
      text("model.stem", "auto", {"auto", "imagenet", "cifar"}, {kArch, "stem-"},
           "first layers of a residual network: 7x7 at stride 2 and pooling, or 3x3; auto: the model's"),
      text("model.shortcut", "auto", {"auto", "a", "b"}, {kArch, "shortcut-"},
           "where a residual network changes shape: a subsamples and adds zero channels, b is a 1x1 convolution; auto: "
           "the model's"),
  };
}

Rows quant_rows() {
  const std::vector<std::int64_t> as_float = {32};
  return {
      text("quant.quantizer", "lsq", {"lsq", "none"}, {kArch, ""}, "quantizer; none trains the float network"),
      whole("quant.weight_bits", 8, {2, 8}, {kArch, "w"}, "bits of the weights; 32: float", as_float),
      whole("quant.activation_bits", 8, {2, 8}, {kArch, "a"}, "bits of the activations; 32: float", as_float),
      text("quant.weight_range", "auto", {"auto", "full", "narrow", "ternary"}, {kArch, "range-"},
           "codes of the weights: full -2^(b-1).., narrow without the lowest, ternary -1..1 (2 bits); auto: the "
           "quantizer's"),
      flag("quant.per_channel", true, {kArch, "channel-"}, "one weight step per output channel instead of per tensor"),
      whole("quant.first_last_bits", 8, {2, 8}, {kArch, "fl"},
            "bits of the first and the last layer; 0: like the rest, 32: float", {0, 32}),
      text("quant.layers", "", {}, {kArch, "layers-"},
           "bits of single layers, the first match holds: PATTERN=W,A or PATTERN=float, between semicolons"),
      flag("quant.output", false, {kArch, "output-"}, "quantize the network's output too"),
      text("quant.step_parametrisation", "log", {"log", "linear"}, {kArch, ""}, "what the optimizer sees of a step"),
      text("quant.mask", "strict", {"strict", "inclusive", "rounded"}, {kArch, ""},
           "which values count as inside the range in backward"),
      text("quant.gradient_scale", "inv_sqrt_np", {"inv_sqrt_np", "inv_sqrt_n", "none"}, {kArch, "gscale-"},
           "factor of the step gradient: 1/sqrt(N*Qp), 1/sqrt(N) or 1"),
      real("quant.step_lr_factor", 0.0, kNotNegative, {kReplica, "slr"},
           "learning rate of steps over that of weights; 0: 10 for adaptive rules, 1 for SGD-like ones"),
      real("quant.step_weight_decay", 0.0, kNotNegative, {kReplica, "swd"}, "weight decay of steps"),
      text("quant.arithmetic", "codes", {"codes", "float"}, {kArch, ""},
           "integer codes, or plain fake-quantized floats"),
      whole("quant.float_epochs", 0, kZeroOrMore, {kArch, "warm"}, "float epochs before calibration, of train.epochs"),
      text("quant.progressive", "", {}, {kArch, "prog-"},
           "bits of the epochs that follow the float ones: EPOCHS:W,A between semicolons, as in 5:8,8; 5:4,4; then "
           "quant.weight_bits and quant.activation_bits hold"),
  };
}

Rows optim_rows() {
  const Value unset;
  return {
      text("optim.name", "adam", optimizer_names(), {kReplica, ""}, "optimizer"),
      real("optim.lr", 0.0, kNotNegative, {kReplica, "lr"}, "learning rate; 0: the optimizer's entry in [rates]"),
      real("optim.weight_decay", unset, kNotNegative, {kReplica, "wd"}, "weight decay of convolution weights"),
      real("optim.momentum", unset, kBelowOne, {kReplica, "mom"}, "momentum"),
      real("optim.dampening", unset, kUnit, {kReplica, "damp"}, "dampening of momentum"),
      real("optim.beta1", unset, kBelowOne, {kReplica, "b1-"}, "decay of the first moment"),
      real("optim.beta2", unset, kBelowOne, {kReplica, "b2-"}, "decay of the second moment"),
      real("optim.eps", unset, kNotNegative, {kReplica, "eps"}, "term that keeps the denominator from zero"),
      real("optim.alpha", unset, kBelowOne, {kReplica, "alpha"}, "decay of rmsprop's average"),
      flag("optim.centered", unset, {kReplica, "centered-"}, "rmsprop subtracts the mean gradient"),
      real("optim.rho", unset, kBelowOne, {kReplica, "rho"}, "decay of adadelta's averages"),
      real("optim.lr_decay", unset, kNotNegative, {kReplica, "decay"}, "adagrad's decay of the rate"),
      real("optim.initial_accumulator", unset, kNotNegative, {kReplica, "acc"}, "adagrad's start value"),
      real("optim.max_norm", unset, kPositive, {kReplica, "clip"}, "sgd_clip: largest norm of the whole gradient"),
      real("optim.agc_clip", unset, kPositive, {kReplica, "agc"},
           "agc_sgd: largest gradient over weight norm of a unit"),
      real("optim.agc_eps", unset, kPositive, {kReplica, "agceps"}, "agc_sgd: smallest weight norm of a unit"),
      text("schedule.name", "constant", {"constant", "step", "multistep", "cosine"}, {kReplica, ""},
           "how the learning rate changes"),
      whole("schedule.warmup_steps", 0, kZeroOrMore, {kReplica, "warmup"}, "steps of linear warm-up"),
      real("schedule.gamma", 0.1, {.lo = 0, .hi = 1, .lo_open = true}, {kReplica, "gamma"},
           "factor of the rate at each step or milestone"),
      whole("schedule.step_epochs", 1, kCount, {kReplica, "every"},
            "epochs between two steps of schedule step, from the end of the warm-up"),
      list("schedule.milestones", kCount, {kReplica, "at"},
           "epochs at which schedule multistep steps, increasing, from the end of the warm-up"),
      real("schedule.min_lr", 0.0, kNotNegative, {kReplica, "min"}, "where schedule cosine ends"),
  };
}

Rows train_rows() {
  return {
      whole("train.epochs", 10, kCount, {kArch, "ep"}, "epochs"),
      whole("train.batch", 16, {1, 65536}, {kArch, "batch"}, "samples per step and replica"),
      whole("train.patch", 17, {1, 4096}, {kArch, "patch"}, "side of a training patch, low-resolution pixels"),
      text("train.loss", "mse", {"mse", "l1", "charbonnier"}, {kArch, ""}, "training loss of super-resolution"),
      real("train.label_smoothing", 0.0, kBelowOne, {kArch, "smooth"},
           "label smoothing of the cross-entropy that classifiers are trained with"),
      text("train.backward", "float32", {"float32", "bfloat16"}, {kArch, "bwd-"},
           "what the gradients of convolutions are multiplied in; sums are float32"),
      whole("train.seed", 0, {0, 4294967295.0}, {kReplica, "s"}, "initial weights, data order and augmentation"),
      whole("train.steps_per_epoch", 0, kZeroOrMore, {kArch, "steps"}, "0: as many as cover the data once"),
      whole("train.frozen_norm_epochs", 0, kZeroOrMore, {kArch, "frozen"},
            "last epochs, of train.epochs, that normalise by the running statistics, which rest"),
      whole("train.norm_batches", 0, kZeroOrMore, {kArch, "renorm"},
            "after the last epoch: batches that the running statistics are estimated from anew; 0: they stay"),
      whole("train.checkpoint_epochs", 1, kZeroOrMore, {kRun, ""}, "epochs between checkpoints; 0: the last only"),
      whole("train.checkpoint_steps", 0, kZeroOrMore, {kRun, ""}, "steps between checkpoints as well; 0: none"),
      whole("train.replicas", 0, {0, 4096}, {kRun, ""}, "cells trained in one program; 0: as many as pay"),
      text("train.init", "", {}, {kArch, "init-"},
           "start from this network: a checkpoint, or a safetensors file with torchvision's names"),
      text("data.name", "synthetic", {"cifar10", "div2k", "food101", "image_folder", "synthetic", "tsinghua_dogs"},
           {kArch, ""}, "data set"),
      text("data.root", "", {}, {kArch, "root-"}, "folder of the data set"),
      whole("data.train_limit", 0, kZeroOrMore, {kArch, "train"}, "use the first N training images; 0: all"),
      whole("data.val_limit", 0, kZeroOrMore, {kArch, "val"}, "use the first N validation images; 0: all"),
      whole("data.size", 0, {0, 4096}, {kArch, "px"},
            "side of the images of classification; 0: the data set's own, 224 of photos"),
      whole("data.crop_padding", 0, {0, 256}, {kArch, "pad"},
            "classification: black frame, in pixels, out of which training images are cropped at random"),
      real("data.resized_crop", 1.0, {.lo = 0, .hi = 1, .lo_open = true}, {kArch, "rrc"},
           "classification: least share of an image's area in a random resized crop, 0.08 as for ImageNet; 1: none"),
      flag("data.mirror", false, {kArch, "mirror-"}, "classification: mirror every other training image"),
      text("data.autoaugment", "none", {"none", "cifar10"}, {kArch, "aa-"},
           "classification: AutoAugment's policy that training images go through after crop and mirror"),
      text("data.normalize", "none", {}, {kArch, "norm-"},
           "classification: how pixels are normalised: none, imagenet, cifar10, or mean/deviation as r,g,b/r,g,b"),
      text("data.border", "mirror", {"mirror", "replicate"}, {kArch, ""}, "border rule where images are reduced"),
      whole("data.synthetic_images", 40, {1, 100000}, {kArch, "images"}, "synthetic training images"),
      whole("data.synthetic_size", 192, {16, 4096}, {kArch, "size"}, "side of synthetic images, pixels"),
      whole("data.synthetic_val_images", 8, {1, 100000}, {kArch, "valimages"}, "synthetic validation images"),
      text("data.cache", "", {}, {kRun, ""}, "folder of packs of photos; empty: the user's cache"),
      whole("eval.every_epochs", 1, kCount, {kArch, "eval"},
            "epochs between evaluations; the last is always evaluated"),
      whole("eval.tile", 0, {0, 65536}, {kRun, ""}, "tile side in evaluation, low-resolution pixels; 0: whole images"),
      text("run.device", "auto", {"auto", "cpu", "cuda"}, {kRun, ""}, "where to compute"),
      whole("run.threads", 0, {0, 4096}, {kRun, ""}, "CPU threads; 0: all. Never changes a result"),
      text("run.fuse", "all", {"all", "none"}, {kRun, ""}, "graph fusion"),
      text("run.variants", "", {}, {kRun, ""},
           "train these variants only, comma separated; empty: all. The table shows every one trained so far"),
      text("run.capture", "auto", {"auto", "off"}, {kRun, ""},
           "auto: on CUDA, the training step is captured as one CUDA graph; off: launch by launch. Never changes a "
           "result"),
      text("run.conv", "auto", {"auto", "own", "cudnn"}, {kRun, ""},
           "forward convolution of codes on CUDA: the own kernel, cuDNN, or by the shape. Never changes a result"),
      flag("run.health", true, {kRun, ""},
           "at every evaluation, the state of each quantizer into metrics.jsonl. Never changes a result"),
      whole("run.debug", 0, {0, 1}, {kRun, ""}, "1: check every launch for NaN and overwritten memory"),
  };
}

}  // namespace

std::vector<KeyInfo> schema_table() {
  Rows rows;
  for (auto part : {model_rows(), quant_rows(), optim_rows(), train_rows()}) {
    for (auto& row : part) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace gridstep::detail
