// Training graphs of ESPCN as the super-resolution task builds them, small and without data assembly: pixels are
// inputs.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/backward.h"
#include "engine/passes/fuse.h"
#include "engine/quant/calibrate.h"
#include "kernels/add/add.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/image_loss/image_loss.h"
#include "models/model.h"
#include "tests/support/program_bench.h"

namespace gridstep::test {

struct EspcnCase {
  ModelOptions model;
  Index n = 2, h = 6, w = 5;
  LossKind loss = LossKind::kMse;
  bool fused = false;
  bool backward = true;
  ConvGradients gradients = ConvGradients::kFloat32;
};

struct EspcnGraph {
  Graph graph;
  BuiltModel built;
};

// Inputs "lr" and "hr"; outputs "loss" and the image, named "shuffle".
inline EspcnGraph espcn_graph(const EspcnCase& c) {
  EspcnGraph result;
  Graph& g = result.graph;
  const Index r = c.model.scale;
  const ValueId lr = g.add_input("lr", {{c.n, c.h, c.w, 3}, DType::kU8});
  result.built = build_espcn(g, lr, c.model);
  const ValueId hr = g.add_input("hr", {{c.n, c.h * r, c.w * r, 3}, DType::kU8});
  const ValueId loss = image_loss(g, "loss", result.built.output, hr, c.loss);
  if (c.fused) fuse(g);
  set_conv_gradients(g, c.gradients);
  if (c.backward) differentiate(g, loss, add_op());
  g.mark_output(loss);
  if (g.value(result.built.output).storage == Storage::kActivation) g.mark_output(result.built.output);
  return result;
}

// Sets every step of a population by calibrating on the replicas' pixels "lr", given for each by `fill_inputs(bench)`.
template <class F>
void calibrate_espcn(ParameterStore& store, EspcnCase c, F fill_inputs) {
  Graph g;
  const ValueId lr = g.add_input("lr", {{c.n, c.h, c.w, 3}, DType::kU8});
  const BuiltModel built = build_espcn(g, lr, c.model);
  Program program(std::move(g), store);
  fill_inputs(program);
  calibrate(program, store, built.quantizers);
}

}  // namespace gridstep::test
