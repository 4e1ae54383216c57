// Weights of other programs' files: layouts, prefixes, element types, another head, and what is refused.
#include "engine/train/import_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/train/checkpoint.h"
#include "tests/support/compare.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using namespace gridstep::test;
using Catch::Matchers::Contains;
using Names = std::vector<std::string>;

namespace {

// A convolution, its normalisation, a head for `classes` classes and a quantizer.
std::vector<ParameterInfo> network(Index classes) {
  return {{.name = "conv.weight", .shape = {2, 1, 2, 3}},
          {.name = "bn.weight", .shape = {2}, .role = Role::kBias},
          {.name = "bn.running_mean", .shape = {2}, .role = Role::kState, .init_value = 7.0f},
          {.name = "fc.weight", .shape = {classes, 1, 1, 2}, .clip_units = false},
          {.name = "fc.bias", .shape = {classes}, .role = Role::kBias, .clip_units = false},
          {.name = "fc.input_step", .shape = {1}, .role = Role::kStep, .state = "fc.input_step0"},
          {.name = "fc.input_step0", .shape = {1}, .role = Role::kState}};
}

struct Entry {
  std::string name, type;
  std::vector<Index> shape;
  std::string bytes;
};

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}
std::string floats(const std::vector<float>& values) { return bytes_of(values); }

// As Python's library writes them: no checksum.
SafetensorsFile file_of(const TemporaryFolder& folder, const std::vector<Entry>& entries) {
  nlohmann::ordered_json header;
  std::string data;
  for (const Entry& e : entries) {
    header[e.name] = {
        {"dtype", e.type}, {"shape", e.shape}, {"data_offsets", {data.size(), data.size() + e.bytes.size()}}};
    data += e.bytes;
  }
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  std::ofstream(folder / "torch.safetensors", std::ios::binary)
      << std::string(reinterpret_cast<const char*>(&length), 8) << text << data;
  return SafetensorsFile(folder / "torch.safetensors");
}

// conv.weight as (K, C, R, S) = (2, 3, 1, 2), counting up.
std::vector<Entry> torch_entries(Index classes) {
  std::vector<float> conv(12), fc(static_cast<std::size_t>(2 * classes)), bias(static_cast<std::size_t>(classes), 0.5f);
  for (std::size_t i = 0; i < conv.size(); ++i) conv[i] = static_cast<float>(i);
  for (std::size_t i = 0; i < fc.size(); ++i) fc[i] = 100.0f + static_cast<float>(i);
  return {{"conv.weight", "F32", {2, 3, 1, 2}, floats(conv)},
          {"bn.weight", "F32", {2}, floats({1.5f, -2.0f})},
          {"bn.running_mean", "F32", {2}, floats({0.25f, 4.0f})},
          {"bn.num_batches_tracked", "I64", {}, std::string(8, '\1')},
          {"fc.weight", "F32", {classes, 2}, floats(fc)},
          {"fc.bias", "F32", {classes}, floats(bias)}};
}

struct Store {
  std::unique_ptr<Device> device = make_cpu_device(1);
  ParameterStore store;
  explicit Store(Index classes) : store(*device, network(classes), 2, 0, true) { store.initialise({1, 2}); }
  std::vector<float> values(const char* name, int replica = 0) {
    const int p = store.find(name);
    const std::vector<float> flat = store.download(store.weights(), replica);
    const auto begin = flat.begin() + store.offset(p);
    return {begin, begin + store.table()[static_cast<std::size_t>(p)].shape.elements()};
  }
};

}  // namespace

TEST_CASE("a file with PyTorch's names and layouts starts a network", "[train]") {
  const TemporaryFolder folder;
  Store s(4);
  const std::vector<float> other = s.values("conv.weight", 1);
  const ImportReport report = import_weights(file_of(folder, torch_entries(4)), s.store, 0);
  CHECK(report.matched == Names{"conv.weight", "bn.weight", "bn.running_mean", "fc.weight", "fc.bias"});
  CHECK(report.head.empty());
  CHECK(report.calibrated == Names{"fc.input_step", "fc.input_step0"});
  CHECK(report.fresh.empty());
  CHECK(report.skipped == Names{"bn.num_batches_tracked"});
  CHECK_THAT(report.text(), Contains("5 tensors taken") && Contains("2 of quantizers, calibrated from data") &&
                                Contains("1 in it not used (bn.num_batches_tracked)"));
  // (K, R, S, C) of an array that counts up as (K, C, R, S).
  CHECK(s.values("conv.weight") == std::vector<float>{0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11});
  CHECK(s.values("fc.weight") == std::vector<float>{100, 101, 102, 103, 104, 105, 106, 107});
  CHECK(s.values("bn.running_mean") == std::vector<float>{0.25f, 4.0f});
  CHECK(s.values("conv.weight", 1) == other);
}

TEST_CASE("a head for other classes begins anew", "[train]") {
  const TemporaryFolder folder;
  Store s(4);
  const std::vector<float> head = s.values("fc.weight"), bias = s.values("fc.bias");
  const ImportReport report = import_weights(file_of(folder, torch_entries(9)), s.store, 0);
  CHECK(report.head == Names{"fc.weight", "fc.bias"});
  CHECK(report.matched == Names{"conv.weight", "bn.weight", "bn.running_mean"});
  CHECK(s.values("fc.weight") == head);
  CHECK(s.values("fc.bias") == bias);
  CHECK(s.values("conv.weight")[1] == 2.0f);
  CHECK_THAT(report.text(), Contains("2 of the head begin anew"));
}

TEST_CASE("prefixes and other element types are understood", "[train]") {
  const TemporaryFolder folder;
  Store s(4);
  auto entries = torch_entries(4);
  // 1.5, -2; 2^-24 (the least half), -65504 (the largest); doubles.
  entries[1] = {"bn.weight", "BF16", {2}, bytes_of(std::vector<std::uint16_t>{0x3fc0, 0xc000})};
  entries[2] = {"bn.running_mean", "F16", {2}, bytes_of(std::vector<std::uint16_t>{0x0001, 0xfbff})};
  entries[5] = {"fc.bias", "F64", {4}, bytes_of(std::vector<double>{0.1, -3.0, 1e-40, 2.0})};
  for (Entry& e : entries) e.name = "module." + e.name;
  const ImportReport report = import_weights(file_of(folder, entries), s.store, 0);
  CHECK(report.matched.size() == 5);
  CHECK(s.values("bn.weight") == std::vector<float>{1.5f, -2.0f});
  CHECK(s.values("bn.running_mean") == std::vector<float>{std::ldexp(1.0f, -24), -65504.0f});
  CHECK(s.values("fc.bias") == std::vector<float>{0.1f, -3.0f, 1e-40f, 2.0f});
}

TEST_CASE("what cannot start a network is refused, and nothing is changed", "[train]") {
  const TemporaryFolder folder;
  Store s(4);
  const std::vector<float> before = s.store.download(s.store.weights(), 0);
  const auto refused = [&](std::vector<Entry> entries, const auto& matcher) {
    const SafetensorsFile file = file_of(folder, entries);
    CHECK_THROWS_AS(import_weights(file, s.store, 0), DataError);
    CHECK_THROWS_WITH(import_weights(file, s.store, 0), matcher);
    CHECK(s.store.download(s.store.weights(), 0) == before);
  };
  auto entries = torch_entries(4);
  entries[0] = {"conv.weight", "F32", {2, 3, 2, 2}, std::string(96, '\0')};
  refused(entries, Contains("'conv.weight' is (2, 3, 2, 2), the network wants (2, 3, 1, 2)"));
  entries = torch_entries(4);
  entries[4] = {"fc.weight", "F32", {4, 3}, std::string(48, '\0')};  // other features, not other classes
  refused(entries, Contains("'fc.weight' is (4, 3), the network wants (4, 2, 1, 1)"));
  entries = torch_entries(4);
  entries[1].name = "norm.weight";
  refused(entries, Contains("holds no 'bn.weight'") && Contains("torch.safetensors"));
  entries = torch_entries(4);
  entries[1] = {"bn.weight", "I64", {2}, std::string(16, '\1')};
  refused(entries, Contains("'bn.weight' is I64"));
  for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    entries = torch_entries(4);
    entries[1].bytes = floats({1.5f, value});
    refused(entries, Contains("'bn.weight' holds") && Contains("at element 1") && Contains("torch.safetensors"));
  }
  entries = torch_entries(4);
  entries[2] = {"bn.running_mean", "F16", {2}, bytes_of(std::vector<std::uint16_t>{0x7c00, 0})};
  refused(entries, Contains("'bn.running_mean' holds inf at element 0"));
  entries = torch_entries(4);
  entries[5] = {"fc.bias", "F64", {4}, bytes_of(std::vector<double>{0, 0, 1e39, 0})};  // more than a float holds
  refused(entries, Contains("'fc.bias' holds inf at element 2"));
}

TEST_CASE("a checkpoint of a network that diverged starts no other", "[train]") {
  const TemporaryFolder folder;
  Store s(4);
  CheckpointState state;
  save_checkpoint(folder / "good", s.store, 0, 0, state);
  state.status.first_fault = 3;
  save_checkpoint(folder / "bad", s.store, 0, 0, state);
  CHECK(import_weights(SafetensorsFile(folder / "good"), s.store, 1).matched.size() == 7);
  CHECK_THROWS_WITH(import_weights(SafetensorsFile(folder / "bad"), s.store, 1), Contains("diverged"));
}
