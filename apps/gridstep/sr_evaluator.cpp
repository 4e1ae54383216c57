#include "apps/gridstep/sr_evaluator.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/error.h"
#include "kernels/psnr/psnr.h"

namespace gridstep {
namespace {

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
    std::memcpy(out.row(y - t.top), image.row(y) + static_cast<std::size_t>(t.left * image.channels),
                static_cast<std::size_t>((t.right - t.left) * image.channels));
  }
  return out;
}

void paste(const Image& part, const Tile& t, int scale, Image& out) {
  const auto row_bytes = static_cast<std::size_t>((t.x1 - t.x0) * scale * out.channels);
  for (int y = t.y0 * scale; y < t.y1 * scale; ++y) {
    const std::uint8_t* from =
        part.view().row(y - t.top * scale) + static_cast<std::size_t>((t.x0 - t.left) * scale * out.channels);
    std::memcpy(out.row(y) + static_cast<std::size_t>(t.x0 * scale * out.channels), from, row_bytes);
  }
}

// Runs a metrics program on a prediction per replica and adds the results.
void measure(Program& program, ParameterStore& store, const std::vector<Image>& predictions, const ImageView& hr,
             bool with_ssim, std::vector<SrMetrics>& sums) {
  Device& device = store.device();
  device.upload(program.tensor("hr").at<std::byte>(0), hr.pixels, static_cast<Bytes>(hr.size_bytes()));
  for (int r = 0; r < store.replicas(); ++r) {
    const Image& p = predictions[static_cast<std::size_t>(r)];
    device.upload(program.tensor("prediction").at<std::byte>(r), p.pixels.data(), static_cast<Bytes>(p.pixels.size()));
  }
  program.run();
  device.synchronize();
  for (int r = 0; r < store.replicas(); ++r) {
    double psnr[4], loss, ssim[2] = {0.0, 0.0};
    device.download(psnr, program.tensor("psnr").at<std::byte>(r), sizeof psnr);
    device.download(&loss, program.tensor("loss").at<std::byte>(r), sizeof loss);
    if (with_ssim) device.download(ssim, program.tensor("ssim").at<std::byte>(r), sizeof ssim);
    SrMetrics& m = sums[static_cast<std::size_t>(r)];
    m.psnr_rgb += psnr[static_cast<int>(PsnrOutput::kPsnrRgb)];
    m.psnr_y += psnr[static_cast<int>(PsnrOutput::kPsnrY)];
    m.ssim_rgb += ssim[0];
    m.ssim_y += ssim[1];
    m.loss += loss;
  }
}

void divide(std::vector<SrMetrics>& sums, std::size_t count) {
  const auto n = static_cast<double>(std::max<std::size_t>(count, 1));
  for (SrMetrics& m : sums) {
    for (double* v : {&m.psnr_y, &m.psnr_rgb, &m.ssim_y, &m.ssim_rgb, &m.loss}) *v /= n;
  }
}

}  // namespace

SrEvaluator::SrEvaluator(SrTask task, const std::vector<SrPhoto>& photos, int tile, Bytes memory)
    : task_(std::move(task)), photos_(photos), tile_(tile), memory_(memory) {}

// Programs are bound to a store's memory and to a phase.
void SrEvaluator::forget_programs(const ParameterStore& store, bool quantized) {
  if (store_ != &store) metrics_.clear();
  if (store_ != &store || quantized_ != quantized) inference_.clear();
  store_ = &store;
  quantized_ = quantized;
}

Program& SrEvaluator::inference(ParameterStore& store, Size size, bool quantized) {
  return inference_.get(size, store, memory_, [&] { return sr_inference_graph(task_, size.h, size.w, quantized); });
}

Program& SrEvaluator::metrics(ParameterStore& store, Size size, bool with_ssim) {
  return metrics_.get({size, with_ssim}, store, memory_,
                      [&] { return sr_metrics_graph(task_, size.h, size.w, with_ssim); });
}

int SrEvaluator::tile_side(ParameterStore& store, const ImageView& lr, bool quantized) {
  if (tile_ > 0) return tile_;
  int side = std::max(lr.height, lr.width);
  const auto fits = [&](int s) {
    const Graph graph = sr_inference_graph(task_, std::min(s, lr.height), std::min(s, lr.width), quantized);
    return plan_program(graph, store.device().kind()).per_replica * store.replicas() <= memory_;
  };
  while (side > 64 && !fits(side)) side = (side + 1) / 2;
  return side;
}

void SrEvaluator::predict(ParameterStore& store, const ImageView& lr, bool quantized, std::vector<Image>& out) {
  Device& device = store.device();
  const int scale = task_.scale();
  out.assign(static_cast<std::size_t>(store.replicas()), Image(lr.height * scale, lr.width * scale, 3));
  const int halo = find_model(task_.model).receptive_radius;
  for (const Tile& t : tiles_of(lr.height, lr.width, tile_side(store, lr, quantized), halo)) {
    const Image in = window(lr, t);
    Program& program = inference(store, {in.height, in.width}, quantized);
    device.upload(program.tensor("lr").at<std::byte>(0), in.pixels.data(), static_cast<Bytes>(in.pixels.size()));
    program.run();
    device.synchronize();
    Image part(in.height * scale, in.width * scale, 3);
    for (int r = 0; r < store.replicas(); ++r) {
      device.download(part.pixels.data(), program.tensor("pixels").at<std::byte>(r),
                      static_cast<Bytes>(part.pixels.size()));
      paste(part, t, scale, out[static_cast<std::size_t>(r)]);
    }
  }
}

Image SrEvaluator::enlarge(ParameterStore& store, int replica, const ImageView& lr, bool quantized) {
  forget_programs(store, quantized);
  std::vector<Image> out;
  predict(store, lr, quantized, out);
  return std::move(out[static_cast<std::size_t>(replica)]);
}

std::vector<SrMetrics> SrEvaluator::evaluate(ParameterStore& store, bool quantized, bool with_ssim) {
  forget_programs(store, quantized);
  const auto status = store.download_status();
  std::vector<SrMetrics> sums(static_cast<std::size_t>(store.replicas()));
  std::vector<Image> predictions;
  for (const SrPhoto& photo : photos_) {
    predict(store, photo.lr, quantized, predictions);
    measure(metrics(store, {photo.hr.height, photo.hr.width}, with_ssim), store, predictions, photo.hr, with_ssim,
            sums);
  }
  divide(sums, photos_.size());
  const auto after = store.download_status();
  for (std::size_t r = 0; r < sums.size(); ++r) sums[r].fault = after[r].first_fault != status[r].first_fault;
  store.upload_status(status);
  return sums;
}

SrMetrics SrEvaluator::bicubic(Device& device) const {
  ParameterStore none(device, {}, 1, 0, false);
  std::vector<SrMetrics> sums(1);
  for (const SrPhoto& photo : photos_) {
    Program program(sr_metrics_graph(task_, photo.hr.height, photo.hr.width, true), none);
    measure(program, none, {bicubic_enlarge(photo.lr, task_.scale())}, photo.hr, true, sums);
  }
  divide(sums, photos_.size());
  return sums[0];
}

}  // namespace gridstep
