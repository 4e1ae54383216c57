// What gridstep-bench trains: ESPCN on synthetic photos, classifiers on random images.
#include <algorithm>

#include "apps/bench/bench.h"
#include "apps/gridstep/class_task.h"
#include "apps/gridstep/commands.h"
#include "apps/gridstep/network_config.h"
#include "apps/gridstep/resident_images.h"
#include "apps/gridstep/resident_photos.h"
#include "apps/gridstep/sr_task.h"
#include "apps/gridstep/task_runner.h"
#include "engine/base/error.h"
#include "engine/base/philox.h"

namespace gridstep::bench {
namespace {

Config config_of(const StepArgs& args) {
  Config c;
  const Bits bits = parse_bits(args.bits);
  c.set("model.name", args.model, "--model");
  c.set("quant.weight_bits", bits.weights, "--bits");
  c.set("quant.activation_bits", bits.activations, "--bits");
  c.set("optim.name", args.optimizer, "--optimizer");
  c.set("train.batch", std::int64_t{args.batch}, "--batch");
  c.set("run.fuse", args.fuse, "--fuse");
  c.set("quant.arithmetic", args.arithmetic, "--arithmetic");
  c.set("train.backward", args.backward, "--backward");
  return c;
}

TrainingGraphs espcn_work(Device& device, const StepArgs& args) {
  Config c = config_of(args);
  c.set("model.scale", std::int64_t{args.scale}, "--scale");
  c.set("train.patch", std::int64_t{args.patch}, "--patch");
  c.set("data.synthetic_size", std::int64_t{std::max(192, args.patch * args.scale)}, "bench");
  c.set("data.synthetic_images", std::int64_t{4}, "bench");
  struct Photos {
    SrDataset data;
    ResidentPhotos resident;
    Photos(Device& on, const Config& config, int patch)
        : data(open_sr_dataset(sr_data(config, "train"))), resident(on, data, patch) {}
  };
  const auto photos = std::make_shared<const Photos>(device, c, args.patch);
  const SrTask task = sr_task(c);
  return {
      .train = [task, photos](const Phase& phase) { return sr_training_graph(task, photos->resident.table(), phase); },
      .calibration =
          [task, photos](const Phase& phase) { return sr_calibration_graph(task, photos->resident.table(), phase); }};
}

LabelledImages random_images(int count, int side, int classes) {
  LabelledImages images;
  images.side = side;
  images.layout = "random";
  for (int k = 0; k < classes; ++k) images.class_names.push_back(std::to_string(k));
  for (int i = 0; i < count; ++i) images.labels.push_back(i % classes);
  images.pixels.resize(images.bytes());
  for (std::size_t i = 0; i < images.pixels.size(); ++i)
    images.pixels[i] = static_cast<std::uint8_t>(philox({1, Purpose::kSynthetic, 0}, i).v[0]);
  return images;
}

TrainingGraphs classifier_work(Device& device, const StepArgs& args) {
  const Config c = config_of(args);
  const int classes = args.model == "resnet20" ? 10 : 1000;
  struct Images {
    LabelledDataset data;
    ResidentImages resident;
    Images(Device& on, LabelledImages random) : data(std::move(random)), resident(on, data) {}
  };
  const auto images = std::make_shared<const Images>(device, random_images(2 * args.batch, args.size, classes));
  const ClassTask task = class_task(c, classes);
  return {.train = [task,
                    images](const Phase& phase) { return class_training_graph(task, images->resident.table(), phase); },
          .calibration =
              [task, images](const Phase& phase) {
                return class_calibration_graph(task, images->resident.table(), phase);
              }};
}

}  // namespace

Phase work_phase(const StepArgs& args) { return final_phase(quant_config(config_of(args))); }

TrainingGraphs make_work(Device& device, const StepArgs& args) {
  check_device(device, config_of(args));
  return is_classifier(args) ? classifier_work(device, args) : espcn_work(device, args);
}

}  // namespace gridstep::bench
