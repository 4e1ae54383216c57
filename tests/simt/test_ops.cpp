// Small ops: the CUDA launches give the CPU's bits.
#include "kernels/add/add.h"
#include "kernels/image_loss/image_loss.h"
#include "kernels/patch_batch/patch_batch.h"
#include "kernels/pixel_shuffle/pixel_shuffle.h"
#include "kernels/pixels_from_float/pixels_from_float.h"
#include "kernels/pixels_to_float/pixels_to_float.h"
#include "kernels/psnr/psnr.h"
#include "kernels/relu/relu.h"
#include "kernels/ssim/ssim.h"
#include "kernels/tanh/tanh.h"
#include "tests/cuda/gpu_node.h"
#include "tests/simt/compare_nodes.h"
#include "tests/support/photo_set.h"

using namespace gridstep;
using namespace gridstep::test;

TEST_CASE("elementwise ops") {
  struct Row {
    const OpDef& op;
    RecordFn cuda;
    std::vector<DType> inputs;
  };
  constexpr DType kF = DType::kF32, kU = DType::kU8;
  for (const Row& row :
       {Row{add_op(), record_add_cuda, {kF, kF}}, Row{relu_op(), record_relu_cuda, {kF}},
        Row{relu_backward_op(), record_relu_backward_cuda, {kF, kF}}, Row{tanh_op(), record_tanh_cuda, {kF}},
        Row{tanh_backward_op(), record_tanh_backward_cuda, {kF, kF}},
        Row{pixels_to_float_op(), record_pixels_to_float_cuda, {kU}},
        Row{pixels_from_float_op(), record_pixels_from_float_cuda, {kF}}}) {
    for (const Shape& shape : {Shape{1}, Shape{3, 1, 1, 3}, Shape{2, 5, 7, 3}, Shape{5, 17, 13, 3}}) {
      Graph graph;
      std::vector<ValueId> ids;
      for (const DType type : row.inputs)
        ids.push_back(graph.add_input("in" + std::to_string(ids.size()), {shape, type}));
      graph.add_node(std::string(row.op.name), row.op, {}, ids);
      check_node(graph, 0, {row.cuda, row.inputs[0] == kF ? fill_with_nan : fill_randomly});
    }
  }
}

TEST_CASE("image losses") {
  for (const Shape& shape : {Shape{3, 1, 1, 3}, Shape{2, 5, 7, 3}, Shape{3, 7, 65, 3}, Shape{4, 51, 49, 3}}) {
    for (const LossKind kind : {LossKind::kMse, LossKind::kL1, LossKind::kCharbonnier}) {
      Graph graph;
      const ValueId a = graph.add_input("a", {shape, DType::kF32}), b = graph.add_input("b", {shape, DType::kU8});
      graph.add_node("loss", image_loss_op(), ImageLossAttrs{kind}, {a, b});
      graph.add_node("loss/backward", image_loss_backward_op(), ImageLossAttrs{kind}, {a, b});
      check_node(graph, 0, {record_image_loss_cuda, fill_randomly});
      check_node(graph, 1, {record_image_loss_backward_cuda, fill_with_nan});
    }
  }
}

TEST_CASE("image losses off the vector grid") {
  Graph graph;
  const Shape shape{1, 43, 47, 3};
  const ValueId a = graph.add_input("a", {shape, DType::kF32}), b = graph.add_input("b", {shape, DType::kU8});
  graph.add_node("loss", image_loss_op(), ImageLossAttrs{LossKind::kL1}, {a, b});
  NodeBench bench(graph, 0, 1, DeviceKind::kCuda);
  fill_randomly(bench, 0);
  run_cuda(bench, record_image_loss_cuda, 0);
  const double aligned = bench.out<double>(0)[0];
  const std::vector<float> values = copy_of(bench.in<float>(0));
  bench.misalign_input(0, sizeof(float));
  fill(bench.in<float>(0), values);
  run_cuda(bench, record_image_loss_cuda, 0);
  CHECK(bench.out<double>(0)[0] == aligned);
}

TEST_CASE("pixel shuffle") {
  struct Row {
    Index n, h, w, c;
    int factor;
  };
  for (const Row& k : {Row{1, 1, 1, 1, 1}, Row{2, 3, 5, 3, 3}, Row{3, 4, 3, 3, 2}, Row{1, 5, 2, 3, 4}}) {
    Graph graph;
    const ValueId x = graph.add_input("x", {Shape{k.n, k.h, k.w, k.c * k.factor * k.factor}, DType::kF32});
    const ValueId y = pixel_shuffle(graph, "shuffle", x, {k.factor});
    graph.add_node("shuffle/backward", pixel_shuffle_backward_op(), PixelShuffleAttrs{k.factor}, {y});
    check_node(graph, 0, {record_pixel_shuffle_cuda, fill_randomly});
    check_node(graph, 1, {record_pixel_shuffle_backward_cuda, fill_randomly});
  }
}

TEST_CASE("image quality") {
  for (const auto& [h, w] : {std::pair<Index, Index>{25, 31}, {13, 1057}}) {
    Graph graph;
    const ValueId p = graph.add_input("p", {Shape{1, h, w, 3}, DType::kF32});
    const ValueId t = graph.add_input("t", {Shape{1, h, w, 3}, DType::kU8});
    const ValueId u = graph.add_input("u", {Shape{1, h, w, 3}, DType::kU8});
    psnr(graph, "psnr", p, t, {.rgb_crop = 5, .y_crop = 3});
    ssim(graph, "ssim", t, u, {.rgb_crop = 1, .y_crop = 0});
    check_node(graph, 0, {record_psnr_cuda, fill_randomly});
    check_node(graph, 1, {record_ssim_cuda, fill_randomly, {}, 0});
  }
}

#if defined(GRIDSTEP_SIMT)  // their tables lie in host memory
TEST_CASE("patch batches") {
  for (const int scale : {1, 3}) {
    for (const int patch : {5, 7}) {
      const PhotoSet set({{8, 9}, {17, 7}, {7, 7}}, scale);
      Graph graph;
      patch_batch(graph, "batch", {set.table(), 5, patch, scale});
      check_node(graph, 0, {record_patch_batch_cuda, fill_randomly});
    }
  }
}

#if !defined(__SANITIZE_THREAD__)  // a minute's work there for every ten thousand blocks
TEST_CASE("a batch of more patches than the second axis of a grid has blocks") {
  const PhotoSet set({{2, 1}}, 1);
  Graph graph;
  patch_batch(graph, "batch", {set.table(), 65536, 1, 1});
  NodeBench cpu(graph, 0), cuda(graph, 0, 1, DeviceKind::kCuda);
  cpu.run();
  cuda.run(TaskOrder::kForward, record_patch_batch_cuda);
  for (const int out : {0, 1}) CHECK(copy_of(cuda.out<std::uint8_t>(out)) == copy_of(cpu.out<std::uint8_t>(out)));
}
#endif

TEST_CASE("what takes a node to a GPU brings everything back") {
  Graph graph;
  const Shape shape{3, 5, 4, 3};
  const ValueId a = graph.add_input("a", {shape, DType::kF32}),
                b = graph.add_input("b", {shape, DType::kU8}, Storage::kShared);
  graph.add_node("loss", image_loss_op(), ImageLossAttrs{LossKind::kMse}, {a, b});
  NodeBench here(graph, 0, 3, DeviceKind::kCuda), there(graph, 0, 3, DeviceKind::kCuda);
  for (NodeBench* bench : {&here, &there}) {
    for (int r = 0; r < 3; ++r) fill_randomly(*bench, r);
  }
  HostDevice other(DeviceKind::kCuda);  // the kernels run on the host: any memory is the device's
  run_cuda(here, record_image_loss_cuda, 2);
  run_on_gpu(other, there, record_image_loss_cuda, 2);
  for (int r = 0; r < 3; ++r) {
    check_same_status(there.status(r), here.status(r));
    check_same_output(there.bound().out[0], here.bound().out[0], r, false);
    CHECK(there.status(r).loss_count == 1);
  }
}
#endif
