#include "models/blocks.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/base/names.h"
#include "kernels/add/add.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/common/pixels.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/normalize_pixels/normalize_pixels.h"
#include "kernels/pixels_to_float/pixels_to_float.h"
#include "kernels/quantize/quantize.h"
#include "kernels/relu/relu.h"
#include "kernels/tanh/tanh.h"

namespace gridstep {

ModelBuilder::Operand ModelBuilder::add_quantizer(const std::string& layer, const std::string& what, ValueId x,
                                                  CodeRange range, bool is_weight, bool codes) {
  const Shape shape = graph_.spec(x).shape;
  const bool per_channel = is_weight && quant_.per_channel;
  const Shape steps{per_channel ? shape[0] : 1};
  const std::string site = layer + "." + what;
  // The published N: elements that share the step; for activations those of one sample, whatever the batch.
  const Index shared =
      is_weight ? (per_channel ? shape.elements() / shape[0] : shape.elements()) : shape.elements() / shape[0];
  const QuantizeAttrs attrs{
      .range = range,
      .per_channel = per_channel,
      .fake = !codes,
      .form = quant_.form,
      .mask = quant_.mask,
      .activation = FusedActivation::kNone,
      .gradient_scale = gradient_scale_factor(quant_.gradient_scale, static_cast<double>(shared), range.p)};
  // Until calibration every step is 1.
  const float one = quant_.form == StepForm::kLog ? 0.0f : 1.0f;
  const ValueId step = graph_.add_parameter({.name = site + "_step",
                                             .shape = steps,
                                             .role = Role::kStep,
                                             .init_value = one,
                                             .log_step = quant_.form == StepForm::kLog,
                                             .state = site + "_step0"});
  const ValueId s0 =
      graph_.add_parameter({.name = site + "_step0", .shape = steps, .role = Role::kState, .init_value = 1.0f});
  sites_.push_back(
      {site, site + "_step", site + "_step0", graph_.value(x).name, range, quant_.form, is_weight, per_channel});
  const QuantizedValue q = quantize(graph_, site + "/quantize", x, step, s0, attrs);
  return {q.codes, q.step, codes ? std::max(-range.n, range.p) : 0};
}

ValueId ModelBuilder::pixel_step() {
  if (pixel_step_ == kNoValue) {
    pixel_step_ =
        graph_.add_parameter({.name = "pixel_step", .shape = {1}, .role = Role::kState, .init_value = kPixelStep});
  }
  return pixel_step_;
}

ModelBuilder::Operand ModelBuilder::quantized_input(const std::string& layer, const Activation& x, int bits,
                                                    bool codes) {
  if (x.is_pixels) {                   // exact codes already
    if (quant_.enabled) pixel_step();  // also in float arithmetic: both write and read the same checkpoints
    if (codes) return {x.value, pixel_step(), 255};
    return {pixels_to_float(graph_, layer + ".input/pixels", x.value), kNoValue};
  }
  if (bits == kFloatBits) return {x.value, kNoValue};
  return add_quantizer(layer, "input", x.value, activation_codes(bits, x.is_unsigned), false, codes);
}

ModelBuilder::Operand ModelBuilder::quantized_weight(const std::string& layer, ValueId weight, int bits, bool codes) {
  if (bits == kFloatBits) return {weight, kNoValue};
  return add_quantizer(layer, "weight", weight, weight_codes(bits, quant_.weight_range), true, codes);
}

Activation ModelBuilder::image(ValueId pixels, const Normalization& normalize) {
  if (normalize == Normalization{}) return {.value = pixels, .is_pixels = true};
  return {.value = normalize_pixels(graph_, "normalize", pixels, normalize)};
}

Activation ModelBuilder::conv(const std::string& name, const Activation& x, const ConvSpec& spec) {
  layers_.push_back(name);
  const Index channels = graph_.spec(x.value).shape[3];
  const ValueId weight = graph_.add_parameter({.name = name + ".weight",
                                               .shape = {spec.filters, spec.kernel, spec.kernel, channels},
                                               .role = Role::kWeight,
                                               .init_std = spec.init_std,
                                               .clip_units = spec.clip_units});
  ValueId bias = kNoValue;
  if (spec.bias) {
    bias = graph_.add_parameter(
        {.name = name + ".bias", .shape = {spec.filters}, .role = Role::kBias, .clip_units = spec.clip_units});
  }
  const int weight_bits = quant_.layer_weight_bits(name, spec.edge),
            input_bits = quant_.layer_activation_bits(name, spec.edge);
  // Codes need both operands quantized; otherwise the quantized one is carried as its real values.
  const bool codes = quant_.codes && weight_bits != kFloatBits && (x.is_pixels || input_bits != kFloatBits);
  const Operand in = quantized_input(name, x, input_bits, codes);
  const Operand w = quantized_weight(name, weight, weight_bits, codes);
  ConvInputs inputs{in.value, w.value, bias};
  if (codes) inputs = {in.value, w.value, bias, in.step, w.step, in.largest, w.largest};
  return {.value = conv2d(graph_, name, inputs, spec.stride, spec.kernel / 2)};
}

Activation ModelBuilder::batch_norm(const std::string& name, const Activation& x) {
  const Shape channels{graph_.spec(x.value).shape[3]};
  const auto parameter = [&](const char* what, Role role, float value) {
    return graph_.add_parameter({.name = name + what, .shape = channels, .role = role, .init_value = value});
  };
  const BatchNormParameters parameters{.gamma = parameter(".weight", Role::kBias, 1.0f),
                                       .beta = parameter(".bias", Role::kBias, 0.0f),
                                       .running_mean = parameter(".running_mean", Role::kState, 0.0f),
                                       .running_var = parameter(".running_var", Role::kState, 1.0f)};
  BatchNormAttrs attrs;
  attrs.frozen = norm_ == NormMode::kFrozen;
  if (norm_ == NormMode::kCalibrate) attrs.momentum = 0.0f;
  if (norm_ == NormMode::kEstimate) attrs.momentum = 1.0f;
  for (const char* what : {".running_mean", ".running_var"}) statistics_.push_back(name + what);
  return {.value = gridstep::batch_norm(graph_, name, x.value, parameters, attrs)};
}

Activation ModelBuilder::add(const std::string& name, const Activation& a, const Activation& b) {
  return {.value = gridstep::add(graph_, name, a.value, b.value), .is_unsigned = a.is_unsigned && b.is_unsigned};
}

Activation ModelBuilder::relu(const std::string& name, const Activation& x) {
  return {.value = gridstep::relu(graph_, name, x.value), .is_unsigned = true};
}

Activation ModelBuilder::tanh(const std::string& name, const Activation& x) {
  return {.value = gridstep::tanh(graph_, name, x.value)};
}

void ModelBuilder::check_rules() const {
  for (const LayerRule& rule : quant_.layers) {
    if (std::any_of(layers_.begin(), layers_.end(), [&](const auto& layer) { return rule_matches(rule, layer); }))
      continue;
    fail<ConfigError>("quant.layers: no layer is named '{}'; there are {}", rule.pattern, join(layers_));
  }
}

ValueId ModelBuilder::output(const std::string& name, const Activation& x) {
  if (!quant_.enabled || !quant_.output) return x.value;
  return add_quantizer(name, "output", x.value, activation_codes(8, x.is_unsigned), false, false).value;
}

}  // namespace gridstep
