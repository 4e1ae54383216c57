// What surrounds the library's convolution on CUDA: codes to floats, epilogue, gradients of bias and step.
#include "kernels/conv2d/conv2d_cuda.h"
#include "tests/simt/compare_nodes.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

constexpr int kReplicas = 2;

// Memory of one tensor for every replica, poisoned.
template <class T>
class Values {
 public:
  Values(const Shape& shape, DType type)
      : memory_(static_cast<std::size_t>(kReplicas * stride(shape)), std::byte{0xff}) {
    tensor = {memory_.data(), shape, type, stride(shape)};
    const auto used = static_cast<std::size_t>(tensor.elements()) * sizeof(T);
    for (int r = 0; r < kReplicas; ++r)
      fence_off(at(r) + tensor.elements(), static_cast<std::size_t>(stride(shape)) - used);
  }
  T* at(int replica) { return tensor.at<T>(replica); }
  std::span<T> of(int replica) { return {at(replica), static_cast<std::size_t>(tensor.elements())}; }
  Tensor tensor;

 private:
  static Bytes stride(const Shape& shape) { return align_up(shape.elements() * static_cast<Bytes>(sizeof(T)) + 1); }
  std::vector<std::byte> memory_;
};

struct Bench {
  HostDevice device{DeviceKind::kCuda};
  std::vector<StepParams> params{kReplicas};
  std::vector<ReplicaStatus> status{kReplicas};

  template <class F>
  void run(F record) {
    status.assign(kReplicas, {});
    Recorder recorder(device, kReplicas, params.data(), status.data());
    recorder.set_node(0, "conv");
    record(recorder);
    for (const Launch& launch : recorder.take_launches()) launch.run({});
  }
};

template <class T>
void fill_codes(Values<T>& values, unsigned seed) {
  for (int r = 0; r < kReplicas; ++r) {
    const auto bytes = byte_values(values.tensor.elements(), seed + static_cast<unsigned>(r));
    std::transform(bytes.begin(), bytes.end(), values.at(r), [](std::uint8_t b) { return static_cast<T>(b); });
  }
}

void fill_floats(Values<float>& values, unsigned seed, float deviation, float mean = 0.0f) {
  for (int r = 0; r < kReplicas; ++r) {
    fill(values.of(r), normal_values(values.tensor.elements(), seed + static_cast<unsigned>(r), deviation, mean));
  }
}

}  // namespace

TEST_CASE("codes become floats, and channels with inexact sums are counted") {
  const Shape image{2, 9, 7, 33}, filter{5, 3, 3, 300};
  Values<std::uint8_t> x(image, DType::kU8);
  Values<std::int8_t> w(filter, DType::kS8);
  Values<float> x_floats(image, DType::kF32), w_floats(filter, DType::kF32), w_step({5}, DType::kF32);
  fill_codes(x, 1);
  fill_codes(w, 10);
  fill_floats(w_step, 20, 0.01f, 0.1f);
  const Index fan_in = 2700;
  std::fill_n(w.at(1) + fan_in, fan_in, std::int8_t{-1});  // exact: its sum of magnitudes is small
  Bench bench;
  simt::for_each_schedule(1, [&] {
    for (const bool scaled : {false, true}) {
      bench.run([&](Recorder& recorder) {
        record_conv_operands(recorder, {.x = x.tensor,
                                        .x_floats = x_floats.tensor,
                                        .w = w.tensor,
                                        .w_floats = w_floats.tensor,
                                        .w_step = scaled ? w_step.tensor : Tensor{},
                                        .largest_code = 255});
      });
      for (int r = 0; r < kReplicas; ++r) {
        CHECK(bench.status[static_cast<std::size_t>(r)].inexact == (r == 0 ? 5u : 4u));  // 2700 * 64 * 255 > 2^24
        for (Index i = 0; i < x.tensor.elements(); ++i) REQUIRE(x_floats.at(r)[i] == static_cast<float>(x.at(r)[i]));
        for (Index i = 0; i < w.tensor.elements(); ++i) {
          const float s = scaled ? w_step.at(r)[i / fan_in] : 1.0f;
          REQUIRE(w_floats.at(r)[i] == static_cast<float>(w.at(r)[i]) * s);
        }
      }
    }
  });
}

TEST_CASE("codes become floats: one step for all channels, odd fan-in, sums next to the last exact one") {
  // 128 * (1032 * 127 + 8) = 2^24; the third channel exceeds it by codes of -1 alone.
  const Index channels = 3, fan_in = 1169;
  const Shape image{1, 1, 3, fan_in};
  Values<std::int8_t> x(image, DType::kS8), w({channels, 1, 1, fan_in}, DType::kS8);
  Values<float> x_floats(image, DType::kF32), w_floats({channels, 1, 1, fan_in}, DType::kF32), w_step({1}, DType::kF32);
  fill_codes(x, 1);
  fill_floats(w_step, 20, 0.01f, 0.1f);
  for (int r = 0; r < kReplicas; ++r) {
    std::int8_t* const codes = w.at(r);
    std::fill_n(codes, channels * fan_in, std::int8_t{0});
    std::fill_n(codes, 1032, std::int8_t{127});
    codes[fan_in - 1] = 8;
    std::fill_n(codes + fan_in, 1032, std::int8_t{-127});
    codes[2 * fan_in - 1] = r == 0 ? 9 : 8;
    std::fill_n(codes + 2 * fan_in, 1031, std::int8_t{127});
    std::fill_n(codes + 2 * fan_in + 1031, 136, std::int8_t{-1});
  }
  Bench bench;
  simt::for_each_schedule(1, [&] {
    bench.run([&](Recorder& recorder) {
      record_conv_operands(recorder, {.x = x.tensor,
                                      .x_floats = x_floats.tensor,
                                      .w = w.tensor,
                                      .w_floats = w_floats.tensor,
                                      .w_step = w_step.tensor,
                                      .largest_code = 128});
    });
    for (int r = 0; r < kReplicas; ++r) {
      CHECK(bench.status[static_cast<std::size_t>(r)].inexact == (r == 0 ? 2u : 1u));
      for (Index i = 0; i < channels * fan_in; ++i)
        REQUIRE(w_floats.at(r)[i] == static_cast<float>(w.at(r)[i]) * w_step.at(r)[0]);
    }
  });
}

TEST_CASE("the epilogue rounds every operation and quantizes as the quantizer does") {
  for (const Index channels : {1, 3, 27, 64, 1500}) {
    const Shape shape{2, 3, 5, channels};
    Values<float> sums(shape, DType::kF32), y(shape, DType::kF32), bias({channels}, DType::kF32),
        x_step({1}, DType::kF32), w_step({channels}, DType::kF32), parameter({1}, DType::kF32), step({1}, DType::kF32);
    Values<std::int8_t> codes(shape, DType::kS8);
    fill_floats(sums, 1, 4000.0f);
    fill_floats(bias, 2, 0.3f);
    fill_floats(x_step, 3, 0.001f, 0.01f);
    fill_floats(w_step, 4, 0.001f, 0.01f);
    fill_floats(parameter, 5, 0.1f, -3.0f);
    sums.at(1)[7] = std::numeric_limits<float>::quiet_NaN();
    QuantizeAttrs quantizer{.range = {-8, 7}, .activation = FusedActivation::kTanh};
    Bench bench;
    bench.params[1].step = 9;
    simt::for_each_schedule(1, [&] {
      bench.run([&](Recorder& recorder) {
        record_conv_epilogue(recorder, {.channels = channels,
                                        .sums = sums.tensor,
                                        .bias = bias.tensor,
                                        .x_step = x_step.tensor,
                                        .w_step = w_step.tensor,
                                        .y = y.tensor,
                                        .quantize = quantizer,
                                        .parameter = parameter.tensor,
                                        .codes = codes.tensor,
                                        .step = step.tensor});
      });
      for (int r = 0; r < kReplicas; ++r) {
        INFO(channels << " channels, replica " << r);
        std::vector<float> want(sums.of(r).size());
        for (std::size_t i = 0; i < want.size(); ++i) {
          const auto k = static_cast<Index>(i) % channels;
          const float s = x_step.at(r)[0] * w_step.at(r)[k];
          const float product = sums.at(r)[i] * s;
          want[i] = product + bias.at(r)[k];
        }
        CHECK_SAME(compare_bits(y.of(r), std::span<float>(want)));
        const float s = step_value(parameter.at(r)[0], quantizer.form);
        std::vector<std::int8_t> want_codes(want.size());
        const bool bad = quantize_span(quantizer, want.data(), static_cast<Index>(want.size()), s, want_codes.data());
        CHECK_SAME(compare_bits(codes.of(r), std::span<std::int8_t>(want_codes)));
        CHECK(step.at(r)[0] == s);
        CHECK(bad == (r == 1));
        CHECK(bench.status[static_cast<std::size_t>(r)].first_fault == (bad ? 9ull << 32 | 1 : 0));
      }
    });
  }
}

TEST_CASE("the epilogue of a folded convolution: residual and ReLU before values and codes") {
  for (const Index channels : {3, 64}) {
    const Shape shape{2, 3, 5, channels};
    Values<float> sums(shape, DType::kF32), residual(shape, DType::kF32), y(shape, DType::kF32),
        bias({channels}, DType::kF32), parameter({1}, DType::kF32), step({1}, DType::kF32);
    Values<std::uint8_t> codes(shape, DType::kU8);
    fill_floats(sums, 1, 1.0f);
    fill_floats(bias, 2, 0.3f);
    fill_floats(residual, 3, 1.0f);
    fill_floats(parameter, 5, 0.1f, -3.0f);
    sums.at(1)[7] = std::numeric_limits<float>::quiet_NaN();
    const QuantizeAttrs quantizer{.range = {0, 255}};
    Bench bench;
    simt::for_each_schedule(1, [&] {
      bench.run([&](Recorder& recorder) {
        record_conv_epilogue(recorder, {.channels = channels,
                                        .sums = sums.tensor,
                                        .bias = bias.tensor,
                                        .x_step = {},
                                        .w_step = {},
                                        .y = y.tensor,
                                        .quantize = quantizer,
                                        .parameter = parameter.tensor,
                                        .codes = codes.tensor,
                                        .step = step.tensor,
                                        .residual = residual.tensor,
                                        .relu = true});
      });
      for (int r = 0; r < kReplicas; ++r) {
        INFO(channels << " channels, replica " << r);
        std::vector<float> want(sums.of(r).size());
        for (std::size_t i = 0; i < want.size(); ++i) {
          const float biased = sums.at(r)[i] + bias.at(r)[static_cast<Index>(i) % channels];
          const float sum = biased + residual.at(r)[i];
          want[i] = sum < 0.0f ? 0.0f : sum;
        }
        CHECK_SAME(compare_bits(y.of(r), std::span<float>(want)));
        std::vector<std::uint8_t> want_codes(want.size());
        const bool bad = quantize_span(quantizer, want.data(), static_cast<Index>(want.size()),
                                       step_value(parameter.at(r)[0], quantizer.form), want_codes.data());
        CHECK_SAME(compare_bits(codes.of(r), std::span<std::uint8_t>(want_codes)));
        CHECK(bad == (r == 1));
      }
    });
  }
}

TEST_CASE("the epilogue in place, without steps and quantizer") {
  const Shape shape{1, 31, 33, 5};
  Values<float> sums(shape, DType::kF32), bias({5}, DType::kF32);
  fill_floats(bias, 2, 0.3f);
  for (const bool biased : {true, false}) {
    Bench bench;
    simt::for_each_schedule(1, [&] {
      fill_floats(sums, 1, 1.0f);
      const std::vector<float> before = copy_of(sums.of(1));
      bench.run([&](Recorder& recorder) {
        ConvEpilogue epilogue{};
        epilogue.sums = epilogue.y = sums.tensor;
        epilogue.channels = 5;
        if (biased) epilogue.bias = bias.tensor;
        record_conv_epilogue(recorder, epilogue);
      });
      for (std::size_t i = 0; i < before.size(); ++i) {
        REQUIRE(sums.at(1)[i] == (biased ? before[i] + bias.at(1)[i % 5] : before[i]));
      }
    });
  }
}

TEST_CASE("scaled weights without a bias to finish") {
  Values<float> dw({3, 3, 3, 7}, DType::kF32), x_step({1}, DType::kF32);
  fill_floats(x_step, 3, 0.01f, 0.1f);
  Bench bench;
  simt::for_each_schedule(1, [&] {
    fill_floats(dw, 2, 1.0f);
    const std::vector<float> before = copy_of(dw.of(1));
    bench.run([&](Recorder& recorder) {
      record_conv_weight_finish(recorder,
                                {.partial = {}, .db = {}, .dw = dw.tensor, .x_step = x_step.tensor, .blocks = 0});
    });
    for (std::size_t i = 0; i < before.size(); ++i) REQUIRE(dw.at(1)[i] == before[i] * x_step.at(1)[0]);
  });
}

TEST_CASE("gradients of bias and scaled weights") {
  for (const Shape& shape :
       {Shape{1, 1, 1, 1}, Shape{2, 37, 61, 3}, Shape{2, 9, 9, 64}, Shape{1, 5, 13, 64}, Shape{1, 4, 5, 300}}) {
    const Index channels = shape[3], blocks = conv_bias_blocks(shape);
    Values<float> dy(shape, DType::kF32), db({channels}, DType::kF32), dw({channels, 3, 3, 7}, DType::kF32),
        x_step({1}, DType::kF32);
    Values<double> partial({blocks, channels}, DType::kF64);
    fill_floats(dy, 1, 1.0f);
    fill_floats(x_step, 3, 0.01f, 0.1f);
    Bench bench;
    std::vector<float> first;
    simt::for_each_schedule(1, [&] {
      fill_floats(dw, 2, 1.0f);
      const std::vector<float> dw_before = copy_of(dw.of(1));
      bench.run([&](Recorder& recorder) {
        record_conv_bias_sums(recorder, dy.tensor, partial.tensor);
        record_conv_weight_finish(
            recorder,
            {.partial = partial.tensor, .db = db.tensor, .dw = dw.tensor, .x_step = x_step.tensor, .blocks = blocks});
      });
      std::vector<double> want(static_cast<std::size_t>(channels));
      for (Index i = 0; i < dy.tensor.elements(); ++i) {
        want[static_cast<std::size_t>(i % channels)] += static_cast<double>(dy.at(1)[i]);
      }
      INFO(shape.text());
      CHECK_SAME(compare(db.of(1), want, {.abs = 1e-12, .rel = 1e-7}));
      for (std::size_t i = 0; i < dw_before.size(); ++i) REQUIRE(dw.at(1)[i] == dw_before[i] * x_step.at(1)[0]);
      if (first.empty()) first = copy_of(db.of(1));
      CHECK_SAME(compare_bits(db.of(1), std::span<float>(first)));
    });
  }
}
