#include "apps/gridstep/network_config.h"

#include "engine/study/training_phases.h"

namespace gridstep {
namespace {

WeightRange weight_range(const std::string& name) {
  if (name == "full") return WeightRange::kFull;
  if (name == "narrow") return WeightRange::kNarrow;
  return name == "ternary" ? WeightRange::kTernary : WeightRange::kAuto;
}

GradientMask gradient_mask(const std::string& name) {
  if (name == "inclusive") return GradientMask::kInclusive;
  return name == "rounded" ? GradientMask::kRounded : GradientMask::kStrict;
}

GradientScale gradient_scale(const std::string& name) {
  if (name == "inv_sqrt_n") return GradientScale::kInvSqrtN;
  return name == "none" ? GradientScale::kNone : GradientScale::kInvSqrtNp;
}

}  // namespace

ConvEngine conv_engine(const std::string& name) {
  if (name == "own") return ConvEngine::kOwn;
  return name == "cudnn" ? ConvEngine::kCudnn : ConvEngine::kAuto;
}

ConvGradients conv_gradients(const std::string& name) {
  return name == "bfloat16" ? ConvGradients::kBfloat16 : ConvGradients::kFloat32;
}

QuantConfig quant_config(const Config& c) {
  QuantConfig q;
  q.weight_bits = static_cast<int>(c.get_int("quant.weight_bits"));
  q.activation_bits = static_cast<int>(c.get_int("quant.activation_bits"));
  q.layers = parse_layer_rules(c.get_string("quant.layers"));
  q.enabled = quantizes(c);
  q.weight_range = weight_range(c.get_string("quant.weight_range"));
  q.per_channel = c.get_bool("quant.per_channel");
  q.first_last_bits = static_cast<int>(c.get_int("quant.first_last_bits"));
  q.output = c.get_bool("quant.output");
  q.form = c.get_string("quant.step_parametrisation") == "linear" ? StepForm::kLinear : StepForm::kLog;
  q.mask = gradient_mask(c.get_string("quant.mask"));
  q.gradient_scale = gradient_scale(c.get_string("quant.gradient_scale"));
  q.codes = c.get_string("quant.arithmetic") == "codes";
  return q;
}

void set_phase(QuantConfig& quant, const Phase& phase) {
  quant.enabled = quant.enabled && phase.quantized;
  if (!quant.enabled) return;
  quant.weight_bits = phase.weight_bits;
  quant.activation_bits = phase.activation_bits;
}

Phase final_phase(const QuantConfig& quant) {
  return {.quantized = quant.enabled, .weight_bits = quant.weight_bits, .activation_bits = quant.activation_bits};
}

}  // namespace gridstep
