// Sub-pixel rearrangement by its definition, element by element, channels last.
#pragma once

#include <cstddef>
#include <vector>

namespace gridstep::test {

struct ShuffleOracle {
  std::size_t n, h, w, c, r;  // x: (n, h, w, c*r*r), y: (n, h*r, w*r, c)

  template <class F>
  void each(F f) const {  // f(index in x, index in y)
    for (std::size_t s = 0; s < n; ++s)
      for (std::size_t row = 0; row < h * r; ++row)
        for (std::size_t column = 0; column < w * r; ++column)
          for (std::size_t k = 0; k < c; ++k) {
            const std::size_t channel = k * r * r + (row % r) * r + column % r;
            f(((s * h + row / r) * w + column / r) * c * r * r + channel, ((s * h * r + row) * w * r + column) * c + k);
          }
  }
  std::vector<float> forward(const std::vector<float>& x) const {
    std::vector<float> y(x.size());
    each([&](std::size_t deep, std::size_t wide) { y[wide] = x[deep]; });
    return y;
  }
  std::vector<float> backward(const std::vector<float>& dy) const {
    std::vector<float> dx(dy.size());
    each([&](std::size_t deep, std::size_t wide) { dx[deep] = dy[wide]; });
    return dx;
  }
};

}  // namespace gridstep::test
