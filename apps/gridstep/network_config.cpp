#include "apps/gridstep/network_config.h"

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
  q.enabled = c.get_string("quant.quantizer") != "none" &&
              (q.weight_bits != kFloatBits || q.activation_bits != kFloatBits || !q.layers.empty());
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

void add_calibration_sites(CalibrationGraph& to, const std::vector<QuantizerSite>& quantizers) {
  for (const QuantizerSite& s : quantizers) {
    to.sites.push_back({s.parameter, s.state, s.input, s.range, s.form, s.is_weight, s.per_channel});
    if (s.is_weight) continue;
    const ValueId input = to.graph.find_value(s.input);
    // A block's first convolution and its shortcut quantize the same value, each with a step of its own.
    if (to.graph.value(input).storage != Storage::kOutput) to.graph.mark_output(input);
  }
}

}  // namespace gridstep
