// The data gradient's phases against the definition: every product of the convolution, once.
#include "kernels/conv2d/gradient_phases.h"

#include <set>
#include <tuple>

#include "tests/support/catch.h"

using namespace gridstep;

namespace {

// Pixel of dx, pixel of dy and tap, along one axis.
using Products = std::set<std::tuple<Index, Index, Index>>;

Products by_definition(Index stride, Index pad, Index filter, Index size) {
  Products all;
  const Index outputs = (size + 2 * pad - filter) / stride + 1;
  for (Index p = 0; p < outputs; ++p) {
    for (Index r = 0; r < filter; ++r) {
      const Index y = p * stride + r - pad;
      if (y >= 0 && y < size) all.insert({y, p, r});
    }
  }
  return all;
}

Products by_phases(Index stride, Index pad, Index filter, Index size) {
  Products all;
  const Index outputs = (size + 2 * pad - filter) / stride + 1;
  for (Index phase = 0; phase < stride; ++phase) {
    const PhaseAxis axis = phase_axis(phase, stride, pad, filter, size);
    for (Index i = 0; i < axis.pixels; ++i) {
      for (Index t = 0; t < axis.taps; ++t) {  // the last tap first
        const Index p = i - axis.pad + t, r = axis.first_tap + (axis.taps - 1 - t) * stride;
        if (p < 0 || p >= outputs) continue;
        CHECK(all.insert({i * stride + axis.first, p, r}).second);
      }
    }
  }
  return all;
}

}  // namespace

TEST_CASE("the phases of a data gradient have every product of the convolution, once", "[conv2d]") {
  for (Index stride = 1; stride <= 3; ++stride) {
    for (Index pad = 0; pad <= 5; ++pad) {
      for (Index filter = 1; filter <= 5; ++filter) {
        for (Index size = 1; size <= 7; ++size) {
          if (size + 2 * pad < filter) continue;
          INFO("stride " << stride << ", padding " << pad << ", filter " << filter << ", size " << size);
          CHECK(by_phases(stride, pad, filter, size) == by_definition(stride, pad, filter, size));
        }
      }
    }
  }
}

TEST_CASE("the taps of all phases follow one another", "[conv2d]") {
  const ConvGeometry g = conv_geometry({1, 9, 8, 4}, {6, 5, 3, 4}, 2, 1);
  int taps = 0;
  for (const GradientPhase& phase : gradient_phases(g)) {
    CHECK(phase.first_tap == taps);
    taps += phase.y.taps * phase.x.taps;
  }
  CHECK(taps == 15);
}
