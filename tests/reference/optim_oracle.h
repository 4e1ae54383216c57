// Optimizers in double precision, tensor by tensor, written from the papers and PyTorch's documentation. Uses nothing
// of optim/.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace gridstep::reference {

enum class TensorKind { kWeight, kBias, kLinearStep, kLogStep };

struct OracleTensor {
  TensorKind kind = TensorKind::kWeight;
  std::vector<double> value;
  std::size_t units = 1;  // units of adaptive clipping, equal parts of the tensor
  bool clip = true;
  std::vector<double> step0;    // calibrated steps
  std::vector<double> a, b, c;  // state
};

class OracleOptimizer {
 public:
  using Settings = std::map<std::string, double, std::less<>>;

  OracleOptimizer(std::string name, Settings settings, std::vector<OracleTensor> start)
      : tensors(std::move(start)), name_(std::move(name)), settings_(std::move(settings)) {
    for (OracleTensor& x : tensors) {
      x.a.assign(x.value.size(), name_ == "adagrad" ? get("initial_accumulator") : 0.0);
      x.b.assign(x.value.size(), 0.0);
      x.c.assign(x.value.size(), 0.0);
    }
  }

  // One step with these gradients, shaped like the tensors.
  void step(double lr, std::vector<std::vector<double>> gradients) {
    ++t_;
    if (name_ == "sgd_clip" && !clip_globally(gradients)) return;
    for (std::size_t k = 0; k < tensors.size(); ++k) {
      OracleTensor& x = tensors[k];
      if (name_ == "agc_sgd" && x.clip && !is_step(x)) clip_units(x, gradients[k]);
      const double rate = is_step(x) ? lr * get("step_lr_factor") : lr;
      const double decay = x.kind == TensorKind::kWeight ? get("weight_decay")
                           : is_step(x)                  ? get("step_weight_decay")
                                                         : 0.0;
      for (std::size_t i = 0; i < x.value.size(); ++i) {
        x.value[i] = updated(x, i, gradients[k][i], rate, decay);
        if (is_step(x)) bound(x, i);
      }
    }
  }

  std::vector<OracleTensor> tensors;
  long clipped = 0, clippable = 0;

 private:
  double get(const std::string& key) const { return settings_.at(key); }
  static bool is_step(const OracleTensor& x) {
    return x.kind == TensorKind::kLinearStep || x.kind == TensorKind::kLogStep;
  }

  bool clip_globally(std::vector<std::vector<double>>& gradients) {
    double square = 0.0;
    for (const auto& tensor : gradients) {
      for (const double g : tensor) square += g * g;
    }
    ++clippable;
    if (!std::isfinite(square)) {
      ++clipped;
      return false;
    }
    const double factor = std::min(1.0, get("max_norm") / (std::sqrt(square) + 1e-6));
    clipped += factor < 1.0 ? 1 : 0;
    for (auto& tensor : gradients) {
      for (double& g : tensor) g *= factor;
    }
    return true;
  }

  void clip_units(const OracleTensor& x, std::vector<double>& gradient) {
    const std::size_t size = x.value.size() / x.units;
    for (std::size_t u = 0; u < x.units && size > 0; ++u) {
      double w = 0.0, g = 0.0;
      for (std::size_t i = u * size; i < (u + 1) * size; ++i) {
        w += x.value[i] * x.value[i];
        g += gradient[i] * gradient[i];
      }
      const double limit = get("clipping") * std::max(std::sqrt(w), get("eps"));
      ++clippable;
      if (std::sqrt(g) <= limit) continue;
      ++clipped;
      for (std::size_t i = u * size; i < (u + 1) * size; ++i) gradient[i] *= limit / std::max(std::sqrt(g), 1e-6);
    }
  }

  double updated(OracleTensor& x, std::size_t i, double g, double lr, double decay) {
    double& a = x.a[i];
    double& b = x.b[i];
    double w = x.value[i];
    if (name_ == "adamw" || name_ == "lion") {
      w *= 1.0 - lr * decay;
    } else {
      g += decay * w;
    }
    if (name_ == "adam" || name_ == "adamw") return adam(w, g, a, b, lr);
    if (name_ == "rmsprop") return rmsprop(w, g, x, i, lr);
    if (name_ == "adagrad") {
      a += g * g;
      return w - lr / (1.0 + (t_ - 1) * get("lr_decay")) * g / (std::sqrt(a) + get("eps"));
    }
    if (name_ == "adadelta") {
      a = get("rho") * a + (1.0 - get("rho")) * g * g;
      const double delta = std::sqrt(b + get("eps")) / std::sqrt(a + get("eps")) * g;
      b = get("rho") * b + (1.0 - get("rho")) * delta * delta;
      return w - lr * delta;
    }
    if (name_ == "lion") {
      const double mixed = get("beta1") * a + (1.0 - get("beta1")) * g;
      a = get("beta2") * a + (1.0 - get("beta2")) * g;
      return w - lr * static_cast<double>((mixed > 0.0) - (mixed < 0.0));
    }
    return sgd(w, g, a, lr);
  }

  double adam(double w, double g, double& m, double& v, double lr) const {
    const double beta1 = get("beta1"), beta2 = get("beta2");
    m = beta1 * m + (1.0 - beta1) * g;
    v = beta2 * v + (1.0 - beta2) * g * g;
    const double m_hat = m / (1.0 - std::pow(beta1, t_));
    const double v_hat = v / (1.0 - std::pow(beta2, t_));
    return w - lr * m_hat / (std::sqrt(v_hat) + get("eps"));
  }

  double rmsprop(double w, double g, OracleTensor& x, std::size_t i, double lr) const {
    const double alpha = get("alpha");
    x.a[i] = alpha * x.a[i] + (1.0 - alpha) * g * g;
    double variance = x.a[i];
    if (get("centered") != 0.0) {
      x.c[i] = alpha * x.c[i] + (1.0 - alpha) * g;
      variance = std::max(0.0, variance - x.c[i] * x.c[i]);
    }
    x.b[i] = get("momentum") * x.b[i] + g / (std::sqrt(variance) + get("eps"));
    return w - lr * x.b[i];
  }

  double sgd(double w, double g, double& b, double lr) const {
    const double momentum = get("momentum");
    if (name_ == "nesterov") {
      b = momentum * b + g;
      return w - lr * (g + momentum * b);
    }
    if (momentum == 0.0) return w - lr * g;
    b = t_ == 1 ? g : momentum * b + (1.0 - get("dampening")) * g;
    return w - lr * b;
  }

  static void bound(OracleTensor& x, std::size_t i) {
    double low = 0.0, high = 0.0;
    if (x.kind == TensorKind::kLinearStep) {
      x.value[i] = std::fabs(x.value[i]);
      low = std::max(1e-8, 1e-3 * x.step0[i]);
      high = HUGE_VAL;
    } else {
      low = std::log(x.step0[i] / 1000.0);
      high = std::log(x.step0[i] * 1000.0);
    }
    const double bounded = std::min(std::max(x.value[i], low), high);
    if (bounded == x.value[i]) return;
    x.value[i] = bounded;
    x.a[i] = x.b[i] = x.c[i] = 0.0;
  }

  std::string name_;
  Settings settings_;
  double t_ = 0.0;
};

}  // namespace gridstep::reference
