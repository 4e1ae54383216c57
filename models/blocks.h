// Building blocks of models: layers that place their own quantizers as the configuration says.
#pragma once

#include <string>
#include <vector>

#include "engine/base/normalization.h"
#include "engine/graph/graph.h"
#include "kernels/quantize/quantizer_site.h"
#include "models/quant_config.h"

namespace gridstep {

// What flows between layers: a real value, and what is known of it.
struct Activation {
  ValueId value = kNoValue;  // f32; or u8 pixels, whose real value is code * (1/255)
  bool is_pixels = false;
  bool is_unsigned = false;  // never negative: follows a ReLU
};

struct ConvSpec {
  Index filters, kernel, stride = 1;
  float init_std = 0.0f;
  bool edge = false;  // first or last layer of the network: QuantConfig::first_last_bits
  bool bias = true;
  bool clip_units = true;  // ParameterInfo::clip_units
};

enum class NormMode {
  kTraining,   // statistics of the batch, running statistics kept up
  kCalibrate,  // statistics of the batch, running statistics left alone
  kEstimate,   // statistics of the batch, which become the running ones
  kFrozen,     // running statistics, left alone: evaluation
};

class ModelBuilder {
 public:
  ModelBuilder(Graph& graph, const QuantConfig& quant, NormMode norm = NormMode::kTraining)
      : graph_(graph), quant_(quant), norm_(norm) {}

  // The image: codes that a layer takes as they are; normalised, real values as between any two layers.
  Activation image(ValueId pixels, const Normalization& normalize);
  // "Same" convolution; input and weights quantized where their bits say so. A fully connected layer is one of an image
  // of one pixel.
  Activation conv(const std::string& name, const Activation& x, const ConvSpec& spec);
  Activation batch_norm(const std::string& name, const Activation& x);
  Activation add(const std::string& name, const Activation& a, const Activation& b);
  Activation relu(const std::string& name, const Activation& x);
  Activation tanh(const std::string& name, const Activation& x);
  // The network's output, quantized to 8 bits where QuantConfig::output asks for it.
  ValueId output(const std::string& name, const Activation& x);

  Graph& graph() { return graph_; }
  const std::vector<QuantizerSite>& sites() const { return sites_; }          // in the order of the forward pass
  const std::vector<std::string>& statistics() const { return statistics_; }  // names of all running statistics
  // At the end of a model: throws ConfigError where a rule of QuantConfig::layers names no layer.
  void check_rules() const;

 private:
  struct Operand {
    ValueId value, step;
    int largest = 0;  // magnitude of the codes; 0: no codes
  };
  Operand quantized_input(const std::string& layer, const Activation& x, int bits, bool codes);
  Operand quantized_weight(const std::string& layer, ValueId weight, int bits, bool codes);
  Operand add_quantizer(const std::string& layer, const std::string& what, ValueId x, CodeRange range, bool is_weight,
                        bool codes);
  ValueId pixel_step();

  Graph& graph_;
  const QuantConfig& quant_;
  NormMode norm_;
  std::vector<QuantizerSite> sites_;
  std::vector<std::string> layers_, statistics_;
  ValueId pixel_step_ = kNoValue;
};

}  // namespace gridstep
