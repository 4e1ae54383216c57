#include "kernels/auto_augment/auto_augment.h"

#include <cmath>

#include "kernels/auto_augment/augment_plan.h"
#include "kernels/common/check.h"

namespace gridstep {
namespace {

constexpr int kMagnitudes = 10;

// As torch.linspace: floats, from the nearer end.
double magnitude_of(double first, double last, int index) {
  const auto from = static_cast<float>(first), to = static_cast<float>(last);
  const float step = (to - from) / static_cast<float>(kMagnitudes - 1);
  const float value = index < kMagnitudes / 2 ? from + step * static_cast<float>(index)
                                              : to - step * static_cast<float>(kMagnitudes - 1 - index);
  return static_cast<double>(value);
}

int fixed(double v) { return static_cast<int>(std::floor(v * 65536.0 + 0.5)); }

// A warp by its matrix, which acts on the centres of pixels.
AugmentStep warp(double xx, double xy, double x0, double yx, double yy, double y0) {
  AugmentStep s{};
  s.x0 = fixed(x0 + xx * 0.5 + xy * 0.5);
  s.xx = fixed(xx);
  s.xy = fixed(xy);
  s.y0 = fixed(y0 + yx * 0.5 + yy * 0.5);
  s.yx = fixed(yx);
  s.yy = fixed(yy);
  return s;
}

AugmentStep rotation(double degrees, int side) {
  const double angle = -degrees * std::acos(-1.0) / 180.0, cosine = std::cos(angle), sine = std::sin(angle);
  const double centre = side / 2.0;
  return warp(cosine, sine, centre - (cosine + sine) * centre, -sine, cosine, centre - (cosine - sine) * centre);
}

AugmentStep step_of(const AugmentChoice& choice, double sign, int side) {
  using enum AugmentKind;
  const int i = choice.magnitude;
  const double shear = sign * magnitude_of(0.0, 0.3, i);
  const double shift = sign * std::trunc(magnitude_of(0.0, 150.0 / 331.0 * side, i));
  switch (choice.kind) {
    case kShearX:
      return warp(1, shear, 0, 0, 1, 0);
    case kShearY:
      return warp(1, 0, 0, shear, 1, 0);
    case kTranslateX:
      return warp(1, 0, -shift, 0, 1, 0);
    case kTranslateY:
      return warp(1, 0, 0, 0, 1, -shift);
    case kRotate:
      return rotation(sign * magnitude_of(0.0, 30.0, i), side);
    default:
      break;
  }
  AugmentStep s{};
  s.factor = static_cast<float>(1.0 + sign * magnitude_of(0.0, 0.9, i));
  const int dropped = (8 * i + 9) / 18;  // bits, of up to 4: 4 i / 9, rounded
  if (choice.kind == kPosterize) s.level = 0xff & ~((1 << dropped) - 1);
  if (choice.kind == kSolarize) s.level = static_cast<int>(std::ceil(magnitude_of(255.0, 0.0, i)));
  return s;
}

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 1);
  expect_tensor(in[0], DType::kU8, "x");
  expect_rank(in[0], 4, "x");
  const Shape& shape = in[0].shape;
  if (shape[1] != shape[2] || shape[3] != 3)
    fail<ConfigError>("AutoAugment takes square images of three colours, x is {}", shape.text());
  if (shape[1] > kMaxAugmentSide) {
    fail<ConfigError>("AutoAugment takes images of up to {} pixels a side (two lie in shared memory), these have {}",
                      kMaxAugmentSide, shape[1]);
  }
  const auto& attrs = node.attrs_as<AutoAugmentAttrs>();
  if (attrs.policy.empty() || attrs.policy.size() > kMaxSubPolicies)
    fail<ConfigError>("a policy has 1 to {} sub-policies, got {}", kMaxSubPolicies, attrs.policy.size());
  for (const SubPolicy& sub : attrs.policy) {
    for (const AugmentChoice& choice : sub) {
      if (choice.magnitude < 0 || choice.magnitude >= kMagnitudes)
        fail<ConfigError>("magnitudes are 0 to {}, got {}", kMagnitudes - 1, choice.magnitude);
    }
  }
  return {in[0]};
}

}  // namespace

AugmentPlan augment_plan(const AutoAugmentAttrs& attrs, int side) {
  AugmentPlan plan{};
  for (const SubPolicy& sub : attrs.policy) {
    for (std::size_t i = 0; i < 2; ++i) {
      plan.options[plan.count][i] = {
          sub[i].kind, sub[i].probability, {step_of(sub[i], -1.0, side), step_of(sub[i], 1.0, side)}};
    }
    ++plan.count;
  }
  return plan;
}

ValueId auto_augment(Graph& graph, std::string name, ValueId x, AutoAugmentAttrs attrs) {
  return graph.add_node(std::move(name), auto_augment_op(), std::move(attrs), {x})[0];
}

const OpDef& auto_augment_op() {
  static const OpDef op{.name = "auto_augment", .infer = infer, .record_cpu = record_auto_augment_cpu};
  return op;
}

}  // namespace gridstep
