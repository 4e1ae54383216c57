// Which quantizers run at a program's start only, and that a program runs them there, and anew when weights change.
#include "engine/graph/backward.h"
#include "engine/passes/emit_codes.h"
#include "kernels/quantize/quantize.h"
#include "tests/support/catch.h"
#include "tests/support/program_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Quantized {
  Graph graph;
  QuantizedValue q;
};

Quantized weight_quantizer(bool fake, Role role = Role::kWeight) {
  Quantized result;
  Graph& g = result.graph;
  const ValueId w = g.add_parameter({.name = "w", .shape = {2, 3}, .role = role}),
                s = g.add_parameter({.name = "s", .shape = {1}, .role = Role::kStep, .log_step = true, .state = "s0"}),
                s0 = g.add_parameter({.name = "s0", .shape = {1}, .role = Role::kState});
  result.q = quantize(g, "w/quantize", w, s, s0, {.range = {-8, 7}, .fake = fake});
  return result;
}

}  // namespace

TEST_CASE("quantizers of trained weights are emitted, in the code form", "[passes]") {
  Quantized codes = weight_quantizer(false);
  CHECK(emit_weight_codes(codes.graph) == std::vector<std::string>{"w/quantize"});
  CHECK(codes.graph.node(0).at_start);
  CHECK(codes.graph.value(codes.q.codes).storage == Storage::kOutput);
  CHECK(codes.graph.value(codes.q.step).storage == Storage::kOutput);
  CHECK(emit_weight_codes(codes.graph).empty());

  Quantized fake = weight_quantizer(true);
  CHECK(emit_weight_codes(fake.graph).empty());
  Quantized state = weight_quantizer(false, Role::kState);
  CHECK(emit_weight_codes(state.graph).empty());
}

TEST_CASE("nodes of the start run once, and again after weights were written from outside", "[passes]") {
  for (const bool debug : {false, true}) {
    Quantized codes = weight_quantizer(false);
    emit_weight_codes(codes.graph);
    const std::string name = codes.graph.value(codes.q.codes).name;
    ProgramBench bench(std::move(codes.graph), {.debug = debug});
    CHECK(bench.program().launches().empty());
    const auto write = [&](float value) {  // as the optimizer does: without a word to the program
      for (float& w : bench.parameter("w")) w = value;
    };
    const auto first_code = [&] {
      bench.run();
      return static_cast<int>(bench.values<std::int8_t>(name)[0]);
    };
    write(3.0f);
    CHECK(first_code() == 3);
    write(5.0f);
    CHECK(first_code() == 3);
    bench.store().note_change();
    CHECK(first_code() == 5);
  }
}
