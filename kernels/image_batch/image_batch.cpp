#include "kernels/image_batch/image_batch.h"

#include "kernels/common/check.h"

namespace gridstep {
namespace {

constexpr int kMaxSide = 8192;  // an offset in an image fits 32 bits

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 0);
  const auto& a = node.attrs_as<ImageBatchAttrs>();
  if (a.batch < 1) fail<ConfigError>("the batch size must be at least 1, got {}", a.batch);
  if (a.table.count < 1) fail<ConfigError>("there are no images");
  if (a.table.side < 1 || a.table.side > kMaxSide)
    fail<ConfigError>("images must have 1 to {} pixels each way, not {}", kMaxSide, a.table.side);
  if (a.pad < 0 || a.pad > kMaxSide) fail<ConfigError>("the frame must have 0 to {} pixels, not {}", kMaxSide, a.pad);
  if (!(a.least_area > 0.0f && a.least_area <= 1.0f))
    fail<ConfigError>("resized crops must have a share above 0 and up to 1 of the image, got {}", a.least_area);
  if (a.least_area < 1.0f && a.pad != 0) fail<ConfigError>("resized crops know no frame, got one of {}", a.pad);
  if (a.crop < 1 || a.crop > a.table.side + 2 * a.pad) {
    fail<ConfigError>("a crop of {} pixels does not fit images of {} pixels with a frame of {}", a.crop, a.table.side,
                      a.pad);
  }
  return {{Shape{a.batch, a.crop, a.crop, 3}, DType::kU8}, {Shape{a.batch}, DType::kS32}};
}

}  // namespace

ImageBatch image_batch(Graph& graph, std::string name, const ImageBatchAttrs& attrs) {
  const std::vector<ValueId> out = graph.add_node(std::move(name), image_batch_op(), attrs, {});
  return {out[0], out[1]};
}

const OpDef& image_batch_op() {
  static const OpDef op{.name = "image_batch", .infer = infer, .record_cpu = record_image_batch_cpu};
  return op;
}

}  // namespace gridstep
