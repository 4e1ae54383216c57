#include "kernels/pixel_shuffle/pixel_shuffle.h"

namespace gridstep {
namespace {

enum class Direction { kForward, kBackward };

// One row of pixels of the small image against the r rows of the large one that it becomes. R and C are 0 where they
// are not known at compile time; known ones unroll the inner loops into plain moves.
template <Direction D, int R, int C>
void move_row(const float* __restrict from, float* __restrict to, Index width, Index upscale, Index channels) {
  const Index r = R == 0 ? upscale : R, c = C == 0 ? channels : C;
  const Index deep_pixel = c * r * r, wide_pixel = r * c, wide_row = width * wide_pixel;
  for (Index w = 0; w < width; ++w) {
    for (Index i = 0; i < r; ++i) {
      for (Index j = 0; j < r; ++j) {
        for (Index k = 0; k < c; ++k) {
          const Index deep = w * deep_pixel + k * r * r + i * r + j, wide = i * wide_row + w * wide_pixel + j * c + k;
          if constexpr (D == Direction::kForward) {
            to[wide] = from[deep];
          } else {
            to[deep] = from[wide];
          }
        }
      }
    }
  }
}

using MoveRow = void (*)(const float* __restrict, float* __restrict, Index, Index, Index);

template <Direction D>
MoveRow move_row_for(Index upscale, Index channels) {
  if (channels == 3 && upscale == 2) return move_row<D, 2, 3>;
  if (channels == 3 && upscale == 3) return move_row<D, 3, 3>;
  if (channels == 3 && upscale == 4) return move_row<D, 4, 3>;
  if (channels == 1 && upscale == 2) return move_row<D, 2, 1>;
  if (channels == 1 && upscale == 3) return move_row<D, 3, 1>;
  if (channels == 1 && upscale == 4) return move_row<D, 4, 1>;
  return move_row<D, 0, 0>;
}

template <Direction D>
void record(Recorder& recorder, const BoundNode& node) {
  const Tensor from = node.in[0], to = node.out[0];
  const Index r = node.attrs<PixelShuffleAttrs>().upscale;
  const Shape& deep = D == Direction::kForward ? from.shape : to.shape;
  const Index channels = deep[3] / (r * r), width = deep[2], row = deep[2] * deep[3], lines = deep[0] * deep[1];
  const int tasks = Recorder::chunks(lines);
  const MoveRow move = move_row_for<D>(r, channels);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(lines, tasks, context.task);
    for (Index line = begin; line < end; ++line) {
      move(from.at<const float>(context.replica) + line * row, to.at<float>(context.replica) + line * row, width, r,
           channels);
    }
  });
}

}  // namespace

void record_pixel_shuffle_cpu(Recorder& recorder, const BoundNode& node) {
  record<Direction::kForward>(recorder, node);
}

void record_pixel_shuffle_backward_cpu(Recorder& recorder, const BoundNode& node) {
  record<Direction::kBackward>(recorder, node);
}

}  // namespace gridstep
