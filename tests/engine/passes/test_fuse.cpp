// The fusion pass: what it joins, what it leaves, and its notes.
#include "engine/passes/fuse.h"

#include "engine/graph/op.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/pixel_shuffle/pixel_shuffle.h"
#include "kernels/quantize/quantize.h"
#include "kernels/relu/relu.h"
#include "kernels/tanh/tanh.h"
#include "tests/support/catch.h"

using namespace gridstep;

namespace {

// conv -> relu -> quantize, with the names of its parts.
struct Chain {
  Graph graph;
  ValueId conv, relu_out;
  QuantizedValue quantized;

  explicit Chain(const QuantizeAttrs& attrs = {.range = {0, 255}}) {
    const auto input = [&](std::string name, Shape shape) {
      return graph.add_input(std::move(name), {shape, DType::kF32});
    };
    const ValueId steps = input("steps", {attrs.per_channel ? Index{2} : Index{1}});
    conv = conv2d(graph, "conv", {input("x", {2, 4, 4, 3}), input("w", {5, 3, 3, 3}), input("b", {5})}, 1, 1);
    relu_out = relu(graph, "relu", conv);
    quantized = quantize(graph, "quantize", relu_out, steps, steps, attrs);
  }
};

std::vector<std::string> texts(const std::vector<FusionNote>& notes) {
  std::vector<std::string> result;
  for (const FusionNote& note : notes) result.push_back(note.into + " <- " + note.absorbed);
  return result;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("convolution takes over activation and quantizer, and the notes say so", "[passes]") {
  Chain c;
  CHECK(texts(fuse(c.graph)) == Texts{"quantize <- relu", "conv <- quantize"});
  REQUIRE(c.graph.nodes().size() == 1);
  const Node& node = c.graph.node(0);
  CHECK(node.op == &conv2d_op());
  CHECK(node.outputs == std::vector<ValueId>{c.conv, c.quantized.codes, c.quantized.step});
  CHECK(node.inputs.size() == 7);
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  REQUIRE(attrs.quantize.has_value());
  CHECK(attrs.quantize->activation == FusedActivation::kRelu);
  CHECK(c.graph.value(c.quantized.codes).producer == 0);
  CHECK(c.graph.value(c.relu_out).producer == -1);
}

TEST_CASE("a value that others read is not swallowed", "[passes]") {
  Chain twice;
  relu(twice.graph, "second reader", twice.relu_out);
  CHECK(fuse(twice.graph).empty());
  CHECK(twice.graph.nodes().size() == 4);
  Chain output;
  output.graph.mark_output(output.relu_out);
  CHECK(fuse(output.graph).empty());
  Chain conv_output;
  conv_output.graph.mark_output(conv_output.conv);
  CHECK(texts(fuse(conv_output.graph)) == Texts{"quantize <- relu"});  // reads conv as before
}

TEST_CASE("only what the ops can do is fused", "[passes]") {
  Chain channels({.range = {0, 255}, .per_channel = true});  // its rows would be the batch
  CHECK(texts(fuse(channels.graph)) == Texts{"quantize <- relu"});
  CHECK(channels.graph.nodes().size() == 2);

  Graph two;
  const ValueId x = two.add_input("x", {{2, 3}, DType::kF32}), s = two.add_input("s", {{1}, DType::kF32});
  quantize(two, "quantize", relu(two, "relu", gridstep::tanh(two, "tanh", x)), s, s, {.range = {0, 255}});
  CHECK(texts(fuse(two)) == Texts{"quantize <- relu"});  // one activation per quantizer

  Graph shuffle;
  const ValueId y = shuffle.add_input("x", {{1, 2, 2, 4}, DType::kF32});
  relu(shuffle, "relu", pixel_shuffle(shuffle, "shuffle", y, {2}));
  CHECK(fuse(shuffle).empty());
}

TEST_CASE("fusing twice changes nothing more", "[passes]") {
  Chain c;
  fuse(c.graph);
  CHECK(fuse(c.graph).empty());
  CHECK(c.graph.nodes().size() == 1);
}
