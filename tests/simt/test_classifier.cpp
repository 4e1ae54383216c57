// Ops of classifiers: the CUDA launches give the CPU's bits.
#include "kernels/auto_augment/cifar10_policy.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/fold_norm/fold_norm.h"
#include "kernels/global_avg_pool/global_avg_pool.h"
#include "kernels/image_batch/image_batch.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/normalize_pixels/normalize_pixels.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "kernels/subsample_pad/subsample_pad.h"
#include "tests/simt/compare_nodes.h"
#include "tests/support/image_set.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

// Random logits with ties, and labels; replica 1 has a NaN, replica 2 a label that is no class. In the first two
// samples the largest logit, without which sums overflow, is that of the last class and of the 33rd, a lane's second;
// the third has logits of such sizes that their sum depends on its order.
void fill_head(NodeBench& bench, int replica) {
  auto x = bench.in<float>(0, replica);
  auto y = bench.in<std::int32_t>(1, replica);
  std::vector<float> logits = normal_values(static_cast<Index>(x.size()), static_cast<unsigned>(replica) + 1, 2.0f);
  for (std::size_t i = 0; i < logits.size(); i += 3) logits[i] = std::nearbyint(logits[i]);
  const int classes = static_cast<int>(x.size() / y.size());
  logits[static_cast<std::size_t>(classes) - 1] = 150.0f;
  if (classes > 32 && y.size() > 1) logits[static_cast<std::size_t>(classes) + 32] = 150.0f;
  for (std::size_t i = 2 * static_cast<std::size_t>(classes); i < 3 * static_cast<std::size_t>(classes); ++i) {
    if (y.size() > 2) logits[i] *= i % 2 == 0 ? 1e4f : 1e-6f;
  }
  fill(x, logits);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<int>(i * 7 + 3) % classes;
  if (replica == 1) x.back() = std::numeric_limits<float>::quiet_NaN();
  if (replica == 2) y.back() = y.size() % 3 == 0 ? -1 : classes;
}

}  // namespace

TEST_CASE("softmax cross-entropy") {
  for (const auto& [n, classes] : {std::pair<Index, Index>{1, 1}, {3, 10}, {5, 32}, {9, 130}, {300, 3}}) {
    Graph graph;
    const ValueId x = graph.add_input("x", {{n, classes}, DType::kF32}), y = graph.add_input("y", {{n}, DType::kS32});
    const SoftmaxCrossEntropyAttrs attrs{0.1f};
    softmax_cross_entropy(graph, "loss", x, y, attrs);
    graph.add_node("loss/backward", softmax_cross_entropy_backward_op(), attrs, {x, y});
    check_node(graph, 0, {record_softmax_cross_entropy_cuda, fill_head});
    check_node(graph, 1, {record_softmax_cross_entropy_backward_cuda, fill_head});
  }
}

TEST_CASE("batch normalisation folded into steps and filters") {
  for (const Index channels : {1, 5, 70}) {
    for (const Shape& w : {Shape{1}, Shape{channels}, Shape{channels, 3, 3, 5}}) {
      for (const bool biased : {false, true}) {
        Graph graph;
        std::vector<ValueId> in{graph.add_input("w", {w, DType::kF32})};
        for (const char* name : {"gamma", "beta", "mean", "var", "bias"})
          in.push_back(graph.add_input(name, {{channels}, DType::kF32}));
        if (!biased) in.back() = kNoValue;
        graph.add_node("fold", fold_norm_op(), FoldNormAttrs{}, in);
        check_node(graph, 0, {record_fold_norm_cuda, [](NodeBench& bench, int replica) {
                                fill_randomly(bench, replica);
                                for (float& v : bench.in<float>(4, replica)) v = v * v;
                              }});
      }
    }
  }
}

TEST_CASE("pools") {
  struct Row {
    Shape shape;
    MaxPoolAttrs attrs;
  };
  for (const Row& k : {Row{{1, 1, 1, 1}, {1, 1, 0}}, Row{{2, 5, 7, 3}, {3, 2, 1}}, Row{{3, 6, 5, 16}, {2, 2, 0}},
                       Row{{1, 9, 8, 5}, {3, 1, 1}}, Row{{2, 13, 11, 4}, {5, 3, 2}}}) {
    Graph graph;
    const ValueId x = graph.add_input("x", {k.shape, DType::kF32});
    const ValueId mean = global_avg_pool(graph, "mean", x);
    graph.add_node("mean/backward", global_avg_pool_backward_op(), GlobalAvgPoolBackwardAttrs{k.shape[1], k.shape[2]},
                   {mean});
    MaxPoolAttrs attrs = k.attrs;
    attrs.height = k.shape[1];
    attrs.width = k.shape[2];
    const auto pooled = graph.add_node("max", max_pool_op(), attrs, {x});
    graph.add_node("max/backward", max_pool_backward_op(), attrs, pooled);
    const auto fill_places = [&](NodeBench& bench, int replica) {
      fill_randomly(bench, replica);
      for (auto& place : bench.in<std::uint8_t>(1, replica)) {
        place = static_cast<std::uint8_t>(place % (attrs.window * attrs.window));
      }
    };
    check_node(graph, 0, {record_global_avg_pool_cuda, fill_with_nan});
    check_node(graph, 1, {record_global_avg_pool_backward_cuda, fill_with_nan});
    check_node(graph, 2, {record_max_pool_cuda, fill_with_nan});
    check_node(graph, 3, {record_max_pool_backward_cuda, fill_places});
  }
}

#if defined(GRIDSTEP_SIMT)  // their tables lie in host memory
TEST_CASE("batches of images") {
  const ImageSet few(3, 5), many(33, 34);
  for (const ImageBatchAttrs& attrs :
       {ImageBatchAttrs{few.table(), 4, 5, 0, false}, ImageBatchAttrs{few.table(), 2, 7, 3, true},
        ImageBatchAttrs{many.table(), 3, 34, 2, true}, ImageBatchAttrs{few.table(), 4, 5, 0, true, 0.2f},
        ImageBatchAttrs{many.table(), 5, 29, 0, false, 0.08f}}) {
    Graph graph;
    image_batch(graph, "batch", attrs);
    check_node(graph, 0, {record_image_batch_cuda, fill_randomly});
  }
}

#endif

TEST_CASE("policies of augmentation") {
  const auto check = [](Index batch, Index side, std::vector<SubPolicy> policy) {
    Graph graph;
    auto_augment(graph, "augment", graph.add_input("x", {{batch, side, side, 3}, DType::kU8}), {std::move(policy)});
    check_node(graph, 0, {record_auto_augment_cuda, fill_randomly});
  };
#if defined(__SANITIZE_THREAD__)  // slow there; the side changes no order of threads
  const std::vector<Index> sides{5};
  constexpr Index kFew = 1, kMany = 6;
#else
  const std::vector<Index> sides{1, 5, 16};
  constexpr Index kFew = 2, kMany = 40;
  check(2, kMaxAugmentSide, {SubPolicy{{{AugmentKind::kShearX, 1.0f, 4}, {AugmentKind::kEqualize, 1.0f, 0}}}});
#endif
  for (const Index side : sides) {
    for (int kind = 1; kind <= static_cast<int>(AugmentKind::kInvert); ++kind) {
      // Followed by what counts: both use the same memory.
      const auto second = kind % 2 == 0 ? AugmentKind::kEqualize : AugmentKind::kContrast;
      check(kFew, side, {SubPolicy{{{static_cast<AugmentKind>(kind), 1.0f, kind % 10}, {second, 0.7f, 5}}}});
    }
  }
  check(kMany, 6, cifar10_policy());
}

TEST_CASE("normalised pixels") {
  for (const Shape& shape : {Shape{3}, Shape{1, 2, 2, 3}, Shape{3, 5, 7, 3}, Shape{2, 32, 32, 3}}) {
    Graph graph;
    normalize_pixels(graph, "normalize", graph.add_input("x", {shape, DType::kU8}), parse_normalization("imagenet"));
    check_node(graph, 0, {record_normalize_pixels_cuda, fill_randomly});
  }
}

TEST_CASE("shortcuts without parameters") {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 5, 4, 3}, Shape{3, 8, 8, 16}}) {
    Graph graph;
    const ValueId x = graph.add_input("x", {shape, DType::kF32});
    const SubsamplePadAttrs attrs{2, 1, 2, shape[1], shape[2]};
    graph.add_node("back", subsample_pad_backward_op(), attrs, {subsample_pad(graph, "small", x, attrs)});
    check_node(graph, 0, {record_subsample_pad_cuda, fill_with_nan});
    check_node(graph, 1, {record_subsample_pad_backward_cuda, fill_with_nan});
  }
}

TEST_CASE("batch normalisation") {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{1, 7, 9, 3}, Shape{1, 5, 13, 3}, Shape{3, 9, 8, 16},
                             Shape{2, 7, 5, 37}, Shape{9, 16, 16, 4}}) {
    for (const bool frozen : {false, true}) {
      Graph graph;
      const BatchNormAttrs attrs{.frozen = frozen};
      std::vector<ValueId> inputs{graph.add_input("x", {shape, DType::kF32})};
      for (const char* name : {"gamma", "beta", "mean", "var"}) {
        inputs.push_back(graph.add_input(name, {{shape[3]}, DType::kF32}));
      }
      const auto out = graph.add_node("norm", batch_norm_op(), attrs, inputs);
      graph.add_node("norm/backward", batch_norm_backward_op(), attrs,
                     {inputs[0], inputs[1], inputs[2], out[1], out[2], out[0], kNoValue, kNoValue, kNoValue, kNoValue});
      // The running statistics are changed in place: each schedule must begin with the same ones.
      const auto fill_positive = [](NodeBench& bench, int replica) {
        fill_with_nan(bench, replica);
        for (float& v : bench.in<float>(4, replica)) v = std::fabs(v) + 0.5f;
      };
      check_node(graph, 0, {record_batch_norm_cuda, fill_positive});
      NodeBench cpu(graph, 0), cuda(graph, 0, 1, DeviceKind::kCuda);  // the running statistics, after one run
      for (NodeBench* bench : {&cpu, &cuda}) fill_positive(*bench, 0);
      cpu.run();
      run_cuda(cuda, record_batch_norm_cuda, 0);
      for (const int i : {3, 4}) CHECK_SAME(compare_bits(cuda.in<float>(i), cpu.in<float>(i)));
      check_node(graph, 1, {record_batch_norm_backward_cuda, fill_positive});
    }
  }
}

namespace {

// A node with all that fusion can bring, and its gradient, every input its own.
Graph fused_norm(const Shape& shape, const BatchNormAttrs& attrs, bool dy) {
  Graph g;
  const auto image = [&](const char* name) { return g.add_input(name, {shape, DType::kF32}); };
  const auto channel = [&](const char* name) { return g.add_input(name, {{shape[3]}, DType::kF32}); };
  const auto one = [&](const char* name) { return g.add_input(name, {{1}, DType::kF32}); };
  std::vector<ValueId> in{image("x"), channel("gamma"), channel("beta"), channel("running_mean"),
                          channel("running_var")};
  if (attrs.add) in.push_back(image("residual"));
  const ValueId rho = one("rho"), s0 = one("s0");
  if (attrs.quantize) in.insert(in.end(), {rho, s0});
  g.add_node("norm", batch_norm_op(), attrs, in);
  g.add_node("norm/backward", batch_norm_backward_op(), attrs,
             {in[0], in[1], in[2], channel("mean"), channel("inv_std"), dy ? image("dy") : kNoValue,
              attrs.add ? image("y") : kNoValue, attrs.quantize ? image("g") : kNoValue,
              attrs.quantize ? rho : kNoValue, attrs.quantize ? s0 : kNoValue});
  return g;
}

void fill_norm(NodeBench& bench, int replica, bool with_nan) {
  fill_randomly(bench, replica);
  for (std::size_t i = 0; i < bench.bound().in.size(); ++i) {
    const Tensor& t = bench.bound().in[i];
    if (t.data == nullptr) continue;
    const bool positive = i == 4 || t.elements() == 1;  // variance or deviation; steps
    for (float& v : bench.in<float>(static_cast<int>(i), replica)) v = positive ? std::fabs(v) * 0.1f + 0.05f : v;
  }
  if (with_nan && replica == 1) bench.in<float>(0, replica).back() = std::numeric_limits<float>::quiet_NaN();
}

}  // namespace

TEST_CASE("batch normalisation with what follows it") {
#if defined(__SANITIZE_THREAD__)  // slow there; which threads meet depends on neither shape nor ReLU
  const std::vector<Shape> shapes{{3, 5, 7, 16}};
  const std::vector<bool> relus{true};
#else
  const std::vector<Shape> shapes{{1, 1, 1, 1}, {3, 5, 7, 16}, {2, 7, 5, 37}};
  const std::vector<bool> relus{false, true};
#endif
  for (const Shape& shape : shapes) {
    for (const bool add : {false, true}) {
      for (const bool relu : relus) {
        for (const int quantizer : {0, 1, 2, 3}) {
          BatchNormAttrs attrs;
          attrs.add = add;
          attrs.relu = relu;
          const QuantizeAttrs kinds[] = {{.range = {0, 15}, .mask = GradientMask::kStrict},
                                         {.range = {-8, 7}, .mask = GradientMask::kInclusive},
                                         {.range = {0, 255}, .fake = true, .mask = GradientMask::kRounded}};
          if (quantizer > 0) attrs.quantize = kinds[quantizer - 1];
          const bool dy = quantizer == 0 || add;
          const Graph graph = fused_norm(shape, attrs, dy);
          INFO(shape.text() << (add ? " add" : "") << (relu ? " relu" : "") << " quantizer " << quantizer);
          check_node(graph, 0, {record_batch_norm_cuda, [](NodeBench& b, int r) { fill_norm(b, r, true); }, {}, 0});
          check_node(graph, 1,
                     {record_batch_norm_backward_cuda, [](NodeBench& b, int r) { fill_norm(b, r, false); }, {}, 0});
        }
      }
    }
  }
}

TEST_CASE("batch normalisation of which only the codes are wanted") {
  BatchNormAttrs attrs;
  attrs.quantize = QuantizeAttrs{.range = {0, 15}};
  NodeBench cuda(fused_norm({2, 3, 5, 16}, attrs, false), 0, 1, DeviceKind::kCuda);
  fill_norm(cuda, 0, false);
  check_without_first_output(cuda, record_batch_norm_cuda, 3);
}
