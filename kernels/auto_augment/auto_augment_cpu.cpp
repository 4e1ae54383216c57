#include <cstring>

#include "kernels/auto_augment/auto_augment_math.h"

namespace gridstep {
namespace {

struct CodeMap {
  std::uint8_t codes[3][256];
};

CodeMap map_of(AugmentKind kind, const AugmentStep& step, const std::uint8_t* image, int side) {
  const int pixels = side * side;
  std::uint32_t bins[3][256] = {};
  CodeCounts counts[3] = {};
  int mean = 0;
  if (counts_codes(kind)) {
    for (int i = 0; i < 3 * pixels; ++i) ++bins[i % 3][image[i]];
    for (int c = 0; c < 3; ++c) counts[c] = summed_counts(bins[c]);
  } else if (kind == AugmentKind::kContrast) {
    std::uint32_t sum = 0;
    for (int i = 0; i < 3 * pixels; i += 3) sum += gray_of(image + i);
    mean = rounded_mean(sum, side);
  }
  CodeMap map;
  for (int c = 0; c < 3; ++c) {
    for (int code = 0; code < 256; ++code)
      map.codes[c][code] = mapped(kind, step, code, bins[c][code], counts[c], mean);
  }
  return map;
}

void apply(AugmentKind kind, const AugmentStep& step, const std::uint8_t* from, int side, std::uint8_t* to) {
  CodeMap map;
  if (maps_codes(kind)) map = map_of(kind, step, from, side);
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x, to += 3) write_augmented(kind, step, map.codes, from, y, x, side, to);
  }
}

}  // namespace

void record_auto_augment_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], y = node.out[0];
  const Index batch = x.shape[0];
  const int side = static_cast<int>(x.shape[1]), tasks = Recorder::chunks(batch);
  const AugmentPlan plan = augment_plan(node.attrs<AutoAugmentAttrs>(), side);
  const StepParams* params = recorder.params();
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(batch, tasks, context.task);
    const Index bytes = Index{3} * side * side;
    std::uint8_t between[3 * kMaxAugmentSide * kMaxAugmentSide];
    for (Index i = begin; i < end; ++i) {
      const AugmentDraw draw = draw_augment(plan, params[context.replica], i);
      const std::uint8_t* from = x.at<const std::uint8_t>(context.replica) + i * bytes;
      std::uint8_t* const to = y.at<std::uint8_t>(context.replica) + i * bytes;
      const bool both = draw.applied[0] && draw.applied[1];
      for (int s = 0; s < 2; ++s) {
        if (!draw.applied[s]) continue;
        const AugmentOption& option = plan.options[draw.sub_policy][s];
        std::uint8_t* const into = both && s == 0 ? between : to;
        apply(option.kind, option.step[draw.positive[s] ? 1 : 0], from, side, into);
        from = into;
      }
      if (from != to) std::memcpy(to, from, static_cast<std::size_t>(bytes));
    }
  });
}

}  // namespace gridstep
