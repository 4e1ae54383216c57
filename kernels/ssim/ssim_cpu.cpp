#include <array>

#include "kernels/common/lane_sum.h"
#include "kernels/ssim/ssim.h"
#include "kernels/ssim/ssim_math.h"

namespace gridstep {
namespace {

// Sums of one plane's rows. Rows of pixels are filtered along the row once each and kept in a ring of as many as the
// window has taps.
class RowFilter {
 public:
  RowFilter(const std::uint8_t* a, const std::uint8_t* b, const CroppedArea& area, int plane, std::byte* scratch)
      : a_(a),
        b_(b),
        area_(area),
        plane_(plane),
        columns_(SsimAreas::positions(area.columns())),
        memory_(reinterpret_cast<double*>(scratch)) {}

  static Bytes scratch_bytes(Index width) { return Index{kSsimTaps + 2} * kSsimMoments * width * size_of(DType::kF64); }

  // Sum over the positions of one row of windows. Rows come in increasing order, without gaps.
  double row_sum(Index row) {
    for (; next_row_ < row + kSsimTaps; ++next_row_) filter_row(next_row_);
    std::array<const double*, kSsimTaps> rows;
    for (int tap = 0; tap < kSsimTaps; ++tap) rows[static_cast<std::size_t>(tap)] = ring(row + tap);
    const Index width = area_.width;
    double* const sums = line(kSsimTaps);
    for (Index moment = 0; moment < kSsimMoments; ++moment) {
      filter(rows, sums + moment * width, columns_);
      for (const double*& r : rows) r += width;
    }
    return lane_sum(columns_, [=](Index i) {
      return ssim_at({{sums[i], sums[width + i], sums[2 * width + i], sums[3 * width + i], sums[4 * width + i]}});
    });
  }
  void start(Index row) { next_row_ = row; }

 private:
  double* line(Index i) const { return memory_ + i * kSsimMoments * area_.width; }
  double* ring(Index row) const { return line(row % kSsimTaps); }

  // to[i] = sum over the taps of weight * from[tap][i], in the order of the taps.
  void filter(const std::array<const double*, kSsimTaps>& from, double* __restrict to, Index n) const {
    for (Index i = 0; i < n; ++i) {
      double sum = 0.0;
      for (std::size_t tap = 0; tap < kSsimTaps; ++tap) sum += window_.weight[tap] * from[tap][i];
      to[i] = sum;
    }
  }

  void filter_row(Index row) const {
    const Index width = area_.width, first = ((area_.crop + row) * width + area_.crop) * 3;
    double* const products = line(kSsimTaps + 1);
    for (Index i = 0; i < area_.columns(); ++i) {
      const double a = ssim_plane(a_ + first + i * 3, plane_), b = ssim_plane(b_ + first + i * 3, plane_);
      products[i] = a;
      products[width + i] = b;
      products[2 * width + i] = a * a;
      products[3 * width + i] = b * b;
      products[4 * width + i] = a * b;
    }
    std::array<const double*, kSsimTaps> shifted;
    for (int moment = 0; moment < kSsimMoments; ++moment) {
      for (std::size_t tap = 0; tap < kSsimTaps; ++tap) shifted[tap] = products + moment * width + tap;
      filter(shifted, ring(row) + moment * width, columns_);
    }
  }

  const std::uint8_t* a_;
  const std::uint8_t* b_;
  CroppedArea area_;
  int plane_;
  Index columns_;
  double* memory_;
  Index next_row_ = 0;
  SsimWindow window_ = make_ssim_window();
};

}  // namespace

Bytes ssim_scratch(const Node&, std::span<const ValueSpec> in) { return RowFilter::scratch_bytes(in[0].shape[2]); }

void record_ssim_cpu(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<SsimAttrs>();
  const Tensor a = node.in[0], b = node.in[1], out = node.out[0], partial = node.workspace;
  const Index height = a.shape[1], width = a.shape[2];
  const SsimAreas areas{{height, width, attrs.rgb_crop}, {height, width, attrs.y_crop}};
  const int parts = Recorder::chunks(height);
  recorder.need_scratch(RowFilter::scratch_bytes(width));

  recorder.launch("", parts * kSsimPlanes, [=](const TaskContext& context) {
    const int plane = context.task % kSsimPlanes;
    const auto [begin, end] = Recorder::part(areas.rows(plane), parts, context.task / kSsimPlanes);
    RowFilter filter(a.at<const std::uint8_t>(context.replica), b.at<const std::uint8_t>(context.replica),
                     areas.of(plane), plane, context.scratch);
    filter.start(begin);
    double* sums = partial.at<double>(context.replica) + plane * height;
    for (Index row = begin; row < end; ++row) sums[row] = filter.row_sum(row);
  });
  recorder.launch("mean", 1, [=](const TaskContext& context) {
    std::array<double, kSsimPlanes> sums{};
    for (int plane = 0; plane < kSsimPlanes; ++plane) {
      const double* rows = partial.at<const double>(context.replica) + plane * height;
      sums[static_cast<std::size_t>(plane)] = lane_sum(areas.rows(plane), [=](Index i) { return rows[i]; });
    }
    finish_ssim(sums.data(), areas, out.at<double>(context.replica));
  });
}

}  // namespace gridstep
