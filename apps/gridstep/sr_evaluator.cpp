#include "apps/gridstep/sr_evaluator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "apps/gridstep/network_config.h"
#include "engine/base/error.h"
#include "engine/base/names.h"
#include "kernels/psnr/psnr.h"
#include "kernels/ssim/ssim_math.h"

namespace gridstep {
namespace {

// Whole images up to this much memory for one network, whatever the machine has: tiles pay for their halo.
constexpr Bytes kWholeImageMemory = Bytes{256} << 20;

// A window of an LR image: the part [y0, y1) x [x0, x1) that it stands for, and the part with its halo that is
// computed.
struct Tile {
  int y0, y1, x0, x1;            // owned
  int top, bottom, left, right;  // computed
};

std::vector<Tile> tiles_of(int h, int w, int side, int halo) {
  std::vector<Tile> tiles;
  for (int y = 0; y < h; y += side) {
    for (int x = 0; x < w; x += side) {
      const int y1 = std::min(h, y + side), x1 = std::min(w, x + side);
      tiles.push_back(
          {y, y1, x, x1, std::max(0, y - halo), std::min(h, y1 + halo), std::max(0, x - halo), std::min(w, x1 + halo)});
    }
  }
  return tiles;
}

Image window(const ImageView& image, const Tile& t) {
  Image out(t.bottom - t.top, t.right - t.left, image.channels);
  for (int y = t.top; y < t.bottom; ++y) {
    std::memcpy(out.row(y - t.top), image.pixel(y, t.left), out.view().row_bytes());
  }
  return out;
}

void paste(const Image& part, const Tile& t, int scale, Image& out) {
  const auto columns = static_cast<std::size_t>(t.x1 - t.x0) * static_cast<std::size_t>(scale);
  for (int y = t.y0 * scale; y < t.y1 * scale; ++y) {
    std::memcpy(out.pixel(y, t.x0 * scale), part.view().pixel(y - t.top * scale, (t.x0 - t.left) * scale),
                columns * static_cast<std::size_t>(out.channels));
  }
}

// Runs a metrics program on a prediction per replica and adds the results to those at `sums`.
void measure(Program& program, Device& device, const std::vector<Image>& predictions, const ImageView& hr,
             bool with_ssim, SrMetrics* sums) {
  const int count = static_cast<int>(predictions.size());
  device.upload(program.tensor("hr").at<std::byte>(0), hr.pixels, static_cast<Bytes>(hr.size_bytes()));
  for (int r = 0; r < count; ++r) {
    const Image& p = predictions[static_cast<std::size_t>(r)];
    device.upload(program.tensor("prediction").at<std::byte>(r), p.pixels.data(), static_cast<Bytes>(p.pixels.size()));
  }
  program.run();
  device.synchronize();
  for (int r = 0; r < count; ++r) {
    double psnr[4], loss, ssim[2] = {0.0, 0.0};
    device.download(psnr, program.tensor("psnr").at<std::byte>(r), sizeof psnr);
    device.download(&loss, program.tensor("loss").at<std::byte>(r), sizeof loss);
    if (with_ssim) device.download(ssim, program.tensor("ssim").at<std::byte>(r), sizeof ssim);
    SrMetrics& m = sums[r];
    m.psnr_rgb += psnr[static_cast<int>(PsnrOutput::kPsnrRgb)];
    m.psnr_y += psnr[static_cast<int>(PsnrOutput::kPsnrY)];
    m.ssim_rgb += ssim[0];
    m.ssim_y += ssim[1];
    m.loss += loss;
  }
}

// Without the frame that the metrics leave out, SSIM's window must fit.
int least_measured_side(const SrTask& task) { return 2 * std::max(task.crop_rgb(), task.crop_y()) + kSsimTaps; }

Bytes weight_bytes(const Graph& graph) {
  Bytes bytes = 0;
  for (const ParameterInfo& p : graph.parameters()) bytes += align_up(p.shape.elements() * 4);
  return bytes;
}

void divide(std::vector<SrMetrics>& sums, std::size_t count) {
  const auto n = static_cast<double>(std::max<std::size_t>(count, 1));
  for (SrMetrics& m : sums) {
    for (double* v : {&m.psnr_y, &m.psnr_rgb, &m.ssim_y, &m.ssim_rgb, &m.loss}) *v /= n;
  }
}

}  // namespace

bool is_measurable(const SrTask& task, const SrPhoto& photo) {
  return std::min(photo.hr.height, photo.hr.width) >= least_measured_side(task);
}

void require_measurable(const SrTask& task, const std::vector<SrPhoto>& photos) {
  std::vector<std::string> small;
  for (const SrPhoto& photo : photos) {
    if (!is_measurable(task, photo))
      small.push_back(fmt::format("{} ({} x {})", photo.name, photo.hr.width, photo.hr.height));
  }
  if (small.empty()) return;
  fail<DataError>(
      "too few pixels to be measured, {} each way are needed at x{} (a frame of {} is left out, SSIM looks at {}): {}; "
      "sizes are multiples of {}, the rest is cut off; take these photos away",
      least_measured_side(task), task.scale(), std::max(task.crop_rgb(), task.crop_y()), kSsimTaps, join(small),
      task.scale());
}

SrEvaluator::SrEvaluator(SrTask task, const std::vector<SrPhoto>& photos, int tile, Bytes memory)
    : task_(std::move(task)), photos_(photos), tile_(tile), memory_(memory) {
  require_measurable(task_, photos_);
}

const SrEvaluator::Need& SrEvaluator::need(DeviceKind device, const Phase& phase) const {
  std::optional<Need>& known = need_[phase.quantized ? 1 : 0];
  if (known) return *known;
  std::set<Size> sizes;
  for (const SrPhoto& photo : photos_) sizes.insert({photo.lr.height, photo.lr.width});
  Need need;
  std::map<Size, Bytes> windows;  // their inference programs
  for (const Size size : sizes) {
    const int side = tile_side(device, ImageView{size.h, size.w, 3, nullptr});
    Bytes widest = 0;
    for (const Tile& t : tiles_of(size.h, size.w, side, find_model(task_.model).receptive_radius)) {
      const auto [window, added] = windows.try_emplace({t.bottom - t.top, t.right - t.left}, 0);
      if (added) {
        const Graph graph = sr_inference_graph(task_, window->first.h, window->first.w, phase);
        const ProgramSize program = plan_program(graph, device);
        window->second = program.per_replica;
        need.per_thread = std::max(need.per_thread, program.per_thread);
        if (need.weights == 0) need.weights = weight_bytes(graph);
        need.all += window->second;
      }
      widest = std::max(widest, window->second);
    }
    const Graph measuring = sr_metrics_graph(task_, size.h * task_.scale(), size.w * task_.scale(), true);
    const ProgramSize measured_size = plan_program(measuring, device);
    const Bytes measured = measured_size.per_replica;
    need.per_thread = std::max(need.per_thread, measured_size.per_thread);
    need.all += measured;
    need.largest = std::max(need.largest, widest + measured);
  }
  return known.emplace(need);
}

int SrEvaluator::group_size(DeviceKind device, int replicas, const Phase& phase) const {
  const Bytes one = need(device, phase).least();
  if (one > memory_) {
    fail<DeviceError>(
        "evaluating one network on the largest image needs {} MiB, {} MiB are to be had for it; leave out the largest "
        "images{}",
        one >> 20, memory_ >> 20, tile_ == 0 ? ", or give --set eval.tile=256" : "");
  }
  return static_cast<int>(std::clamp<Bytes>(memory_ / std::max<Bytes>(one, 1), 1, replicas));
}

Bytes SrEvaluator::planned_bytes(DeviceKind device, int replicas, const Phase& phase) const {
  const Need& one = need(device, phase);
  return std::min(memory_, (one.weights + one.all) * group_size(device, replicas, phase));
}

int SrEvaluator::tile_side(DeviceKind device, const ImageView& lr) const {
  if (tile_ > 0) return tile_;
  const int halo = 2 * find_model(task_.model).receptive_radius;
  int side = std::max(lr.height, lr.width);
  const auto fits = [&](int s) {
    const Graph graph = sr_inference_graph(task_, std::min(s + halo, lr.height), std::min(s + halo, lr.width),
                                           final_phase(task_.options.quant));
    return plan_program(graph, device).per_replica <= kWholeImageMemory;
  };
  while (side > 64 && !fits(side)) side = (side + 1) / 2;
  return side;
}

// Programs belong to the store they were recorded for, to a phase, and to what is measured.
void SrEvaluator::prepare(const ParameterStore& store, int group, const Phase& phase, bool with_ssim) {
  const bool fits = store_ && &store_->store().device() == &store.device() && store_->store().replicas() == group &&
                    store_->store().stride() == store.stride();
  if (!fits || !phase_.same_bits(phase) || with_ssim_ != with_ssim) programs_.clear();
  phase_ = phase;
  with_ssim_ = with_ssim;
  if (!fits) store_ = std::make_unique<EvaluationStore>(store, group);
}

Bytes SrEvaluator::program_budget() const {
  const ParameterStore& store = store_->store();
  return memory_ - store.stride() * static_cast<Bytes>(sizeof(float)) * store.replicas();
}

Program& SrEvaluator::inference(Size size) {
  return programs_.get({false, size.h, size.w}, store_->store(), program_budget(),
                       [&] { return sr_inference_graph(task_, size.h, size.w, phase_); });
}

Program& SrEvaluator::metrics(Size size) {
  return programs_.get({true, size.h, size.w}, store_->store(), program_budget(),
                       [&] { return sr_metrics_graph(task_, size.h, size.w, with_ssim_); });
}

void SrEvaluator::predict(const ImageView& lr, int count, std::vector<Image>& out) {
  Device& device = store_->store().device();
  const int scale = task_.scale();
  out.assign(static_cast<std::size_t>(count), Image(lr.height * scale, lr.width * scale, 3));
  const int halo = find_model(task_.model).receptive_radius;
  for (const Tile& t : tiles_of(lr.height, lr.width, tile_side(device.kind(), lr), halo)) {
    const Image in = window(lr, t);
    Program& program = inference({in.height, in.width});
    device.upload(program.tensor("lr").at<std::byte>(0), in.pixels.data(), static_cast<Bytes>(in.pixels.size()));
    program.run();
    device.synchronize();
    Image part(in.height * scale, in.width * scale, 3);
    for (int r = 0; r < count; ++r) {
      device.download(part.pixels.data(), program.tensor("pixels").at<std::byte>(r),
                      static_cast<Bytes>(part.pixels.size()));
      paste(part, t, scale, out[static_cast<std::size_t>(r)]);
    }
  }
}

Image SrEvaluator::enlarge(const ParameterStore& store, int replica, const ImageView& lr, const Phase& phase) {
  prepare(store, 1, phase, false);
  store_->take(store, replica, 1);
  std::vector<Image> out;
  predict(lr, 1, out);
  if (store_->faults()[0]) fail<DataError>("the network's output for this image is not finite");
  return std::move(out.front());
}

std::vector<SrMetrics> SrEvaluator::evaluate(const ParameterStore& store, const Phase& phase, bool with_ssim) {
  const int group = group_size(store.device().kind(), store.replicas(), phase);
  prepare(store, group, phase, with_ssim);
  std::vector<SrMetrics> sums(static_cast<std::size_t>(store.replicas()));
  std::vector<Image> predictions;
  for (int first = 0; first < store.replicas(); first += group) {
    const int count = std::min(group, store.replicas() - first);
    SrMetrics* const sum = sums.data() + first;
    store_->take(store, first, count);
    for (const SrPhoto& photo : photos_) {
      predict(photo.lr, count, predictions);
      Program& program = metrics({photo.hr.height, photo.hr.width});
      measure(program, store.device(), predictions, photo.hr, with_ssim, sum);
    }
    const std::vector<bool> faults = store_->faults();
    for (int r = 0; r < count; ++r) sum[r].fault = faults[static_cast<std::size_t>(r)];
  }
  divide(sums, photos_.size());
  return sums;
}

SrMetrics SrEvaluator::bicubic(Device& device) const {
  ParameterStore none(device, {}, 1, 0, false);
  std::vector<SrMetrics> sums(1);
  for (const SrPhoto& photo : photos_) {
    Program program(sr_metrics_graph(task_, photo.hr.height, photo.hr.width, true), none);
    measure(program, device, {bicubic_enlarge(photo.lr, task_.scale())}, photo.hr, true, sums.data());
  }
  divide(sums, photos_.size());
  return sums[0];
}

}  // namespace gridstep
