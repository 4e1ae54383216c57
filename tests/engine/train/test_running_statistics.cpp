// Running statistics estimated anew: the mean over batches, for networks that have not diverged.
#include "engine/train/running_statistics.h"

#include "kernels/batch_norm/batch_norm.h"
#include "tests/support/catch.h"

using namespace gridstep;

TEST_CASE("running statistics become the mean over batches; a diverged replica keeps its own", "[train]") {
  const auto device = make_cpu_device(1);
  Graph graph;
  const ValueId x = graph.add_input("x", {{4, 1, 1, 1}, DType::kF32}, Storage::kShared);
  BatchNormParameters p;
  p.gamma = graph.add_parameter({.name = "weight", .shape = {1}, .init_value = 1.0f});
  p.beta = graph.add_parameter({.name = "bias", .shape = {1}, .role = Role::kBias});
  p.running_mean = graph.add_parameter({.name = "mean", .shape = {1}, .role = Role::kState});
  p.running_var = graph.add_parameter({.name = "var", .shape = {1}, .role = Role::kState, .init_value = 1.0f});
  graph.mark_output(batch_norm(graph, "norm", x, p, {.momentum = 1.0f}));
  ParameterStore store(*device, graph.parameters(), 2, 0, false);
  store.initialise({1, 2});
  std::vector<ReplicaStatus> status(2);
  status[1].first_fault = 77;
  store.upload_status(status);
  Program forward(std::move(graph), store);
  const std::vector<std::vector<float>> batches = {{1, 2, 3, 4}, {0, 0, 8, 8}, {-3, -3, -3, -3}};
  average_statistics(forward, store, {"mean", "var"}, 3, [&](int b) {
    device->upload(forward.tensor("x").at<std::byte>(0), batches[static_cast<std::size_t>(b)].data(), 16);
  });
  const auto value = [&](const char* name, int r) { return *store.weight(store.find(name)).at<float>(r); };
  CHECK(value("mean", 0) == Approx((2.5 + 4.0 - 3.0) / 3));
  CHECK(value("var", 0) == Approx((5.0 / 3 + 64.0 / 3 + 0.0) / 3));  // unbiased
  CHECK(value("weight", 0) == 1.0f);
  CHECK(value("mean", 1) == 0.0f);
  CHECK(value("var", 1) == 1.0f);
  CHECK(store.download_status()[1].first_fault == 77);
}
