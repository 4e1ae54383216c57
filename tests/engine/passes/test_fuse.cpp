// The fusion pass: what it joins, what it leaves, and its notes.
#include "engine/passes/fuse.h"

#include "engine/graph/op.h"
#include "kernels/add/add.h"
#include "kernels/batch_norm/batch_norm.h"
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

using Texts = std::vector<std::string>;

Texts texts(const std::vector<FusionNote>& notes) {
  Texts result;
  for (const FusionNote& note : notes) {
    if (note.refusal.empty()) result.push_back(note.into + " <- " + note.absorbed);
  }
  return result;
}

Texts refusals(const std::vector<FusionNote>& notes) {
  Texts result;
  for (const FusionNote& note : notes) {
    if (!note.refusal.empty()) result.push_back(note.into + " | " + note.absorbed + ": " + note.refusal);
  }
  return result;
}

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
  const auto notes = fuse(twice.graph);
  CHECK(texts(notes).empty());
  CHECK(refusals(notes) == Texts{"relu | quantize: relu takes no quantize in"});
  CHECK(twice.graph.nodes().size() == 4);
  Chain output;
  output.graph.mark_output(output.relu_out);
  CHECK(texts(fuse(output.graph)).empty());
  Chain conv_output;
  conv_output.graph.mark_output(conv_output.conv);
  const auto left = fuse(conv_output.graph);
  CHECK(texts(left) == Texts{"quantize <- relu"});  // reads conv as before
  CHECK(refusals(left) == Texts{"conv | quantize: others read the values as well"});
}

TEST_CASE("only what the ops can do is fused", "[passes]") {
  Chain channels({.range = {0, 255}, .per_channel = true});  // its rows would be the batch
  const auto notes = fuse(channels.graph);
  CHECK(texts(notes) == Texts{"quantize <- relu"});
  CHECK(refusals(notes) == Texts{"conv | quantize: its steps would be those of samples"});
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

namespace {

// Two blocks of a residual network: conv -> norm -> add -> relu -> quantizers of two layers, and the next addition.
struct Residual {
  Graph graph;
  ValueId out = kNoValue;

  Residual() {
    const ValueId x = graph.add_input("x", {{2, 4, 4, 3}, DType::kF32});
    const ValueId one = norm("norm1", convolution("conv1", x));
    const ValueId side = norm("side norm", convolution("side", x));
    const ValueId sum = relu(graph, "relu", add(graph, "add", one, side));
    const ValueId first = quantized("first", sum), second = quantized("second", sum);
    out = add(graph, "next", add(graph, "join", first, second), sum);
    graph.mark_output(out);
  }
  ValueId input(const std::string& name, const Shape& shape) { return graph.add_input(name, {shape, DType::kF32}); }
  ValueId convolution(const std::string& name, ValueId x) {
    return conv2d(graph, name, {x, input(name + ".w", {3, 1, 1, 3})}, 1, 0);
  }
  ValueId norm(const std::string& name, ValueId x) {
    return batch_norm(graph, name, x,
                      {input(name + ".gamma", {3}), input(name + ".beta", {3}), input(name + ".mean", {3}),
                       input(name + ".var", {3})});
  }
  ValueId quantized(const std::string& name, ValueId x) {
    const ValueId step = input(name + ".step", {1});
    return quantize(graph, name, x, step, step, {.range = {0, 15}, .fake = true}).codes;
  }
};

}  // namespace

TEST_CASE("batch normalisation takes over addition, ReLU and one quantizer; the convolutions sum up", "[passes]") {
  Residual r;
  const auto notes = fuse(r.graph);
  CHECK(texts(notes) ==
        Texts{"norm1 <- add", "norm1 <- relu", "norm1 <- first", "side <- side norm (sums)", "conv1 <- norm1 (sums)"});
  CHECK(refusals(notes) == Texts{"norm1 | second: one quantizer in a pass"});
  // The node lies where all that it reads has been made, and what others read of it keeps its value.
  Texts order;
  for (const Node& node : r.graph.nodes()) order.push_back(node.name);
  CHECK(order == Texts{"conv1", "side", "side norm", "norm1", "second", "join", "next"});
  const Node& node = r.graph.node(3);
  CHECK(node.attrs_as<BatchNormAttrs>().add);
  CHECK(node.attrs_as<BatchNormAttrs>().relu);
  CHECK(node.attrs_as<BatchNormAttrs>().quantize.has_value());
  CHECK(r.graph.value(node.outputs[0]).name == "relu");
  CHECK(fuse(r.graph).size() == 1);  // the refusal again
}

TEST_CASE("fusing twice changes nothing more", "[passes]") {
  Chain c;
  fuse(c.graph);
  CHECK(fuse(c.graph).empty());
  CHECK(c.graph.nodes().size() == 1);
}
