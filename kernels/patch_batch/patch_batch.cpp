#include "kernels/patch_batch/patch_batch.h"

#include "kernels/common/check.h"

namespace gridstep {
namespace {

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 0);
  const auto& attrs = node.attrs_as<PatchBatchAttrs>();
  if (attrs.batch < 1) fail<ConfigError>("the batch size must be at least 1, got {}", attrs.batch);
  if (attrs.patch < 1) fail<ConfigError>("the patch must have at least 1 pixel each way, got {}", attrs.patch);
  if (attrs.scale < 1) fail<ConfigError>("the scale must be at least 1, got {}", attrs.scale);
  if (attrs.table.count < 1 || attrs.table.total_area < 1) {
    fail<ConfigError>("no photo is as large as a patch of {} pixels each way", attrs.patch);
  }
  const Index large = Index{attrs.patch} * attrs.scale;
  return {{Shape{attrs.batch, attrs.patch, attrs.patch, 3}, DType::kU8},
          {Shape{attrs.batch, large, large, 3}, DType::kU8}};
}

}  // namespace

PatchBatch patch_batch(Graph& graph, std::string name, const PatchBatchAttrs& attrs) {
  const std::vector<ValueId> out = graph.add_node(std::move(name), patch_batch_op(), attrs, {});
  return {out[0], out[1]};
}

const OpDef& patch_batch_op() {
  static const OpDef op{.name = "patch_batch", .infer = infer, .record_cpu = record_patch_batch_cpu};
  return op;
}

}  // namespace gridstep
