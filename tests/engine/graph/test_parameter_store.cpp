// The parameter store: layout, initial weights, transfers.
#include "engine/graph/parameter_store.h"

#include <cmath>

#include "tests/support/bind.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

std::vector<ParameterInfo> table() {
  return {{.name = "step0", .shape = {1}, .role = Role::kState, .init_value = 1.0f},
          {.name = "weight", .shape = {100, 3, 3, 11}, .init_std = 0.25f},
          {.name = "bias", .shape = {7}, .role = Role::kBias, .init_value = 0.5f},
          {.name = "other", .shape = {40, 50}, .init_std = 2.0f}};
}

}  // namespace

TEST_CASE("trained parameters come first, each on its own line, replicas behind one another", "[graph]") {
  HostDevice device;
  const ParameterStore store(device, table(), 3, 2, true);
  CHECK(store.offset(1) == 0);
  CHECK(store.offset(2) == 9920);  // 9900 floats, padded to 64
  CHECK(store.offset(3) == 9984);
  CHECK(store.trained() == 9984 + 2048);
  CHECK(store.offset(0) == store.trained());
  CHECK(store.stride() == store.trained() + 64);
  CHECK((store.find("bias") == 2 && store.find("nothing") == -1 && store.slots() == 2 && store.replicas() == 3));
  const Tensor w = store.weight(2);
  CHECK(w.at<float>(1) == store.weights() + store.stride() + store.offset(2));
  CHECK(store.gradient(2).at<float>(2) == store.gradients() + 2 * store.stride() + store.offset(2));
  const ParameterStore frozen(device, table(), 1, 0, false);
  CHECK_THROWS_AS(frozen.gradient(1), Error);
}

TEST_CASE("everything starts as zero", "[graph]") {
  HostDevice device;
  const ParameterStore store(device, table(), 2, 1, true);
  const std::vector<float> zeros(static_cast<std::size_t>(store.stride()), 0.0f);
  for (int r = 0; r < 2; ++r) {
    CHECK_SAME(compare_bits(store.download(store.weights(), r), zeros));
    CHECK_SAME(compare_bits(store.download(store.gradients(), r), zeros));
    CHECK_SAME(compare_bits(store.download(store.slot(0), r), zeros));
    CHECK(store.download_status()[static_cast<std::size_t>(r)].first_fault == 0);
  }
}

TEST_CASE("initial weights depend on seed and parameter only, and are normal", "[graph]") {
  HostDevice device;
  ParameterStore three(device, table(), 3, 0, false), one(device, table(), 1, 0, false);
  three.initialise({5, 6, 5});
  one.initialise({6});
  CHECK_SAME(compare_bits(three.download(three.weights(), 1), one.download(one.weights(), 0)));
  CHECK_SAME(compare_bits(three.download(three.weights(), 0), three.download(three.weights(), 2)));
  CHECK_FALSE(compare_bits(three.download(three.weights(), 0), three.download(three.weights(), 1)).ok);
  for (const int parameter : {1, 3}) {
    const Tensor t = three.weight(parameter);
    const std::span<const float> w(t.at<float>(1), static_cast<std::size_t>(t.elements()));
    double sum = 0.0, squares = 0.0, fourths = 0.0;
    for (const float v : w) {
      const double z = static_cast<double>(v) / (parameter == 1 ? 0.25 : 2.0);
      sum += z;
      squares += z * z;
      fourths += z * z * z * z;
    }
    const auto n = static_cast<double>(w.size());
    CHECK(std::fabs(sum / n) < 4.0 / std::sqrt(n));
    CHECK(std::fabs(squares / n - 1.0) < 4.0 * std::sqrt(2.0 / n));
    CHECK(std::fabs(fourths / n - 3.0) < 4.0 * std::sqrt(96.0 / n));
  }
  CHECK(three.weight(1).at<float>(0)[0] * 8.0f !=
        three.weight(3).at<float>(0)[0]);  // parameters have streams of their own
  CHECK(three.weight(2).at<float>(1)[6] == 0.5f);
  CHECK(three.weight(0).at<float>(2)[0] == 1.0f);
}

TEST_CASE("replicas are exchanged with the host one by one", "[graph]") {
  HostDevice device;
  ParameterStore store(device, table(), 2, 1, true);
  const auto values = normal_values(store.stride(), 3);
  store.upload(store.slot(0), 1, values);
  CHECK_SAME(compare_bits(store.download(store.slot(0), 1), values));
  CHECK(store.download(store.slot(0), 0)[0] == 0.0f);
  CHECK_THROWS_AS(store.upload(store.weights(), 0, std::vector<float>(3)), Error);
  std::vector<StepParams> params(2);
  params[1].lr = 0.25f;
  store.upload_params(params);
  CHECK(store.params()[1].lr == 0.25f);
}
