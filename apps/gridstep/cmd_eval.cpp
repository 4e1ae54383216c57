// gridstep eval: measures a checkpoint on a data set.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/gridstep/class_evaluator.h"
#include "apps/gridstep/commands.h"
#include "apps/gridstep/network_config.h"
#include "apps/gridstep/picture_output.h"
#include "apps/gridstep/sr_evaluator.h"
#include "apps/gridstep/task_runner.h"
#include "data/codecs/decode.h"
#include "data/codecs/encode.h"
#include "data/photo_files.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/base/names.h"
#include "engine/base/normalization.h"
#include "engine/base/strict_math.h"
#include "engine/study/definition.h"
#include "engine/study/grid.h"
#include "engine/train/checkpoint.h"

namespace gridstep {
namespace {

struct EvalArgs {
  std::string checkpoint, data, name, split = "val", json, device = "auto", fuse = "all", arithmetic, image, out;
  int threads = 0, tile = 0;
};

bool is_quantized(const SafetensorsFile& file) { return file.metadata("quantized") == "1"; }

// What the network is, as its file says.
Config stored_config(const SafetensorsFile& file) try {
  Config config = parse_study(file.metadata("config"), "config").base;
  // By the bits of its phase: perhaps not yet those that the training ends with. Files from before there were phases
  // do not say: their bits are the configuration's.
  if (is_quantized(file) && file.metadata().contains("bits")) {
    const Bits bits = parse_bits(file.metadata("bits"));
    config.set("quant.weight_bits", bits.weights, "checkpoint");
    config.set("quant.activation_bits", bits.activations, "checkpoint");
    config.set("quant.progressive", std::string(), "checkpoint");
  }
  check_combination(config);
  quant_config(config);
  parse_normalization(config.get_string("data.normalize"));
  return config;
} catch (const ConfigError& e) {
  fail<DataError>("{}: its description of the network is damaged, or not of this version: {}", file.path().string(),
                  e.what());
}

Config config_of(const SafetensorsFile& file, const EvalArgs& args) {
  Config config = stored_config(file);
  config.set("run.device", args.device, "--device");
  config.set("run.threads", std::int64_t{args.threads}, "--threads");
  config.set("run.fuse", args.fuse, "--fuse");
  if (!args.arithmetic.empty()) config.set("quant.arithmetic", args.arithmetic, "--arithmetic");
  config.set("eval.tile", std::int64_t{args.tile}, "--tile");
  if (!args.name.empty()) {
    config.set("data.name", args.name, "--dataset");
  } else if (!args.data.empty() && task_of(config) == Task::kSuperResolution) {
    config.set("data.name", photo_data_set(args.data), "--data");
  }
  if (!args.data.empty()) config.set("data.root", args.data, "--data");
  for (const char* limit : {"data.train_limit", "data.val_limit"}) config.set(limit, std::int64_t{0}, "eval");
  return config;
}

// A network with a checkpoint's weights, ready to compute.
struct LoadedNetwork {
  std::unique_ptr<Device> device;
  std::unique_ptr<ParameterStore> store;
  Phase phase = {};
};

Phase phase_of(const SafetensorsFile& file, const QuantConfig& quant) {
  return is_quantized(file) ? final_phase(quant) : Phase{};
}

void require_finite(const SafetensorsFile& file, const ParameterStore& store) {
  const std::vector<float> weights = store.download(store.weights(), 0);
  for (std::size_t p = 0; p < store.table().size(); ++p) {
    const auto begin = weights.begin() + store.offset(static_cast<int>(p));
    const auto end = begin + store.table()[p].shape.elements();
    const auto bad = std::find_if(begin, end, [](float v) { return !strict::is_finite(v); });
    if (bad == end) continue;
    fail<DataError>("{}: '{}' holds {}; there is nothing to measure in such a network", file.path().string(),
                    store.table()[p].name, *bad);
  }
}

void require_no_fault(const SafetensorsFile& file, bool fault) {
  if (fault) fail<DataError>("{}: the network's output is not finite", file.path().string());
}

LoadedNetwork load_network(const SafetensorsFile& file, const Config& config, const Phase& phase, const Graph& graph) {
  LoadedNetwork n;
  n.device = open_device(config);
  n.phase = phase;
  n.store = std::make_unique<ParameterStore>(*n.device, graph.parameters(), 1, 0, false);
  const CheckpointState state = load_checkpoint(file, *n.store, 0, 0);
  if (state.status.first_fault != 0) {
    log_warn("{} is of a network that diverged at step {}", file.path().string(), state.status.first_fault >> 32);
  }
  require_finite(file, *n.store);
  return n;
}

void enlarge_image(LoadedNetwork& network, const SrTask& task, const EvalArgs& args) {
  const std::vector<SrPhoto> none;
  SrEvaluator evaluator(task, none, args.tile, network.device->available_bytes() / 4);
  const Image in = decode_image(args.image);
  write_png(args.out, evaluator.enlarge(*network.store, 0, in.view(), network.phase));
  fmt::print("{}: {}x{} enlarged by {} to {}\n", args.image, in.width, in.height, task.scale(), args.out);
}

nlohmann::ordered_json as_json(const SrMetrics& m) {
  return {
      {"psnr_y", m.psnr_y}, {"psnr_rgb", m.psnr_rgb}, {"ssim", m.ssim_y}, {"ssim_rgb", m.ssim_rgb}, {"loss", m.loss}};
}

void measure_data(const SafetensorsFile& file, LoadedNetwork& network, const SrTask& task, const Config& config,
                  const EvalArgs& args) {
  const SrDataset data = open_sr_dataset(sr_data(config, args.split));
  log_info("data: {}", data.description());
  for (const SkippedFile& f : data.skipped()) log_warn("left out {}: {}", f.name, f.reason);
  SrEvaluator evaluator(task, data.photos(), args.tile, network.device->available_bytes() / 4);
  const SrMetrics m = evaluator.evaluate(*network.store, network.phase, true)[0];
  require_no_fault(file, m.fault);
  const SrMetrics floor = evaluator.bicubic(*network.device);
  fmt::print("{} x{}, {}, {} images\n", task.model, task.scale(), network.phase.quantized ? bits_text(config) : "float",
             data.photos().size());
  fmt::print("{:<10} {:>10} {:>10} {:>10} {:>10}\n", "", "PSNR-Y", "PSNR-RGB", "SSIM-Y", "SSIM-RGB");
  for (const auto& [name, row] : {std::pair{"network", m}, std::pair{"bicubic", floor}}) {
    fmt::print("{:<10} {:>10.3f} {:>10.3f} {:>10.4f} {:>10.4f}\n", name, row.psnr_y, row.psnr_rgb, row.ssim_y,
               row.ssim_rgb);
  }
  fmt::print("Y: BT.601, crop {} px; RGB: crop {} px; 8-bit output; means over images, dB\n", task.crop_y(),
             task.crop_rgb());
  if (args.json.empty()) return;
  const nlohmann::ordered_json result{{"checkpoint", args.checkpoint},  {"split", args.split},
                                      {"images", data.photos().size()}, {"data_digest", data.digest()},
                                      {"network", as_json(m)},          {"bicubic", as_json(floor)}};
  write_file_atomic(args.json, result.dump(2) + "\n");
}

void eval_super_resolution(const SafetensorsFile& file, const Config& config, const EvalArgs& args) {
  const SrTask task = sr_task(config);
  const Phase phase = phase_of(file, task.options.quant);
  LoadedNetwork network = load_network(file, config, phase, sr_inference_graph(task, 32, 32, phase));
  if (!args.image.empty()) return enlarge_image(network, task, args);
  measure_data(file, network, task, config, args);
}

void eval_classifier(const SafetensorsFile& file, const Config& config, const EvalArgs& args) {
  if (!args.image.empty()) fail<ConfigError>("--image {} enlarges: {} is of a classifier", args.image, args.checkpoint);
  if (args.tile != 0) fail<ConfigError>("--tile {}: classifiers see whole images", args.tile);
  const LabelledDataset data = open_labelled_dataset(labelled_data(config, args.split));
  log_info("data: {}", data.description());
  const ClassTask task = class_task(config, data.classes());
  const Phase phase = phase_of(file, task.options.quant);
  const LoadedNetwork network = load_network(file, config, phase, class_evaluation_graph(task, 1, data.side(), phase));
  ClassEvaluator evaluator(task, data, data.count(), network.device->available_bytes() / 4);
  const ClassMetrics m = evaluator.evaluate(*network.store, network.phase)[0];
  require_no_fault(file, m.fault);
  fmt::print("{}, {}, {} images\n", task.model, network.phase.quantized ? bits_text(config) : "float", data.count());
  fmt::print("top-1 {:.2f} %, top-5 {:.2f} %, loss {:.4f}; majority {:.2f} %, chance {:.2f} %\n", m.top1, m.top5,
             m.loss, 100.0 * data.majority_rate(), 100.0 / data.classes());
  if (args.json.empty()) return;
  const nlohmann::ordered_json result{{"checkpoint", args.checkpoint},
                                      {"split", args.split},
                                      {"images", data.count()},
                                      {"data_digest", data.digest()},
                                      {"network", {{"top1", m.top1}, {"top5", m.top5}, {"loss", m.loss}}},
                                      {"majority", {{"top1", 100.0 * data.majority_rate()}}}};
  write_file_atomic(args.json, result.dump(2) + "\n");
}

void check_purpose(const EvalArgs& args, const CLI::App& command) {
  if (args.image.empty()) return refuse_options(command, {"--out"}, "without --image");
  if (args.out.empty()) fail<ConfigError>("--image {} needs --out FILE.png for the enlarged image", args.image);
  refuse_options(command, {"--data", "--dataset", "--json", "--split"}, "with --image");
  require_png_output(args.image, args.out);
}

void run_eval(const EvalArgs& args) {
  if (args.data.empty() && args.name.empty() && args.image.empty()) {
    fail<ConfigError>("nothing to evaluate on: give --data DIR, --dataset synthetic, or --image FILE");
  }
  if (!fs::is_regular_file(args.checkpoint)) {
    fail<DataError>(
        "{} {}; a training leaves them in <run folder>/cells/<name>/checkpoints: last.safetensors, best.safetensors",
        args.checkpoint, fs::exists(args.checkpoint) ? "is no checkpoint file" : "is not there");
  }
  const SafetensorsFile file{fs::path(args.checkpoint)};
  const Config config = config_of(file, args);
  if (task_of(config) == Task::kSuperResolution) return eval_super_resolution(file, config, args);
  eval_classifier(file, config, args);
}

void add_choice(CLI::App& command, const std::string& option, std::string& value, const std::string& help,
                const std::vector<std::string>& choices) {
  command.add_option(option, value, help)->check(CLI::IsMember(choices).description(""))->type_name(join(choices, "|"));
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto args = std::make_shared<EvalArgs>();
  CLI::App* command = app.add_subcommand("eval", "Measure a checkpoint on a data set, or enlarge one image");
  command->add_option("--checkpoint", args->checkpoint, "checkpoint: .../checkpoints/last.safetensors")
      ->required()
      ->type_name("FILE");
  command->add_option("--data", args->data, "folder of the data set")->type_name("DIR");
  command->add_option("--dataset", args->name, "data set by name (default: the checkpoint's)")->type_name("NAME");
  add_choice(*command, "--split", args->split, "split to measure on", {"train", "val"});
  command->add_option("--json", args->json, "write the result to this file as well")->type_name("FILE");
  command->add_option("--image", args->image, "enlarge this image instead of measuring")->type_name("FILE");
  command->add_option("--out", args->out, "where the enlarged image goes (PNG)")->type_name("FILE");
  command->add_option("--tile", args->tile, "tile side in low-resolution pixels; 0: whole images where memory allows")
      ->check(CLI::NonNegativeNumber.description(""))
      ->type_name("N");
  add_choice(*command, "--device", args->device, "where to compute", {"auto", "cpu", "cuda"});
  command->add_option("--threads", args->threads, "CPU threads; 0: all")
      ->check(CLI::NonNegativeNumber.description(""))
      ->type_name("N");
  add_choice(*command, "--fuse", args->fuse, "graph fusion", {"all", "none"});
  add_choice(*command, "--arithmetic", args->arithmetic,
             "integer codes, or plain fake-quantization (default: the checkpoint's)", {"codes", "float"});
  command->callback([args, command] {
    check_purpose(*args, *command);
    run_eval(*args);
  });
}

}  // namespace gridstep
