// Softmax cross-entropy with label smoothing, and how often the label was among the first: the head of a classifier.
//   log Z[n] = m + ln sum_k exp(x[n,k] - m),  m = max_k x[n,k]
//   loss     = (1/N) sum_n ( log Z[n] - (1 - e) x[n, y[n]] - (e/K) sum_k x[n,k] ),   e the smoothing
//   correct  = (samples whose label ranks first, samples whose label ranks among the first five)
//   backward: dx[n,k] = (exp(x[n,k] - log Z[n]) - (1 - e) [k = y[n]] - e/K) (1/N), the gradient of the loss being 1
//   x, dx: f32 (N, K) or (N, 1, 1, K)   y: s32 (N), one set for all replicas or one for each   loss: f64 ()   correct:
//   f64 (2)
// The label's rank is the number of classes with a greater logit, or with an equal one and a lower index: ties are
// decided, and a network that says the same of all classes is not right about all of them. With K <= 5 every label is
// among the first five.
// The loss is a mean over samples, per replica; it is added to the replica's loss_sum, and one that is not finite (or a
// label outside [0, K)) is the replica's fault. Sums run in double in orders fixed by N and K (lane_sum.h,
// softmax_math.h): same bits on every device. Smoothing as PyTorch's CrossEntropyLoss (Szegedy et al., arXiv
// 1512.00567).
#pragma once

#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct SoftmaxCrossEntropyAttrs {
  float smoothing = 0.0f;  // in [0, 1)
};

struct CrossEntropy {
  ValueId loss, correct;
};
CrossEntropy softmax_cross_entropy(Graph& graph, std::string name, ValueId logits, ValueId labels,
                                   SoftmaxCrossEntropyAttrs attrs = {});

const OpDef& softmax_cross_entropy_op();           // (x, y) -> (loss, correct)
const OpDef& softmax_cross_entropy_backward_op();  // (x, y) -> dx

void record_softmax_cross_entropy_cpu(Recorder& recorder, const BoundNode& node);
void record_softmax_cross_entropy_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in
void record_softmax_cross_entropy_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_softmax_cross_entropy_backward_cuda(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
