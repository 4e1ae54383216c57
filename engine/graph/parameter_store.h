// The parameters of a population: all tensors of a replica lie in one flat array, trained ones first, state behind
// them; replicas follow one another. Gradients and optimizer slots have the same layout, so that an optimizer is one
// pass over flat memory.
#pragma once

#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/device.h"
#include "engine/graph/graph.h"
#include "engine/graph/step_params.h"

namespace gridstep {

class ParameterStore {
 public:
  // `slots`: optimizer state arrays of the size of the weights. Everything starts as zero.
  ParameterStore(Device& device, std::vector<ParameterInfo> table, int replicas, int slots, bool gradients);

  const std::vector<ParameterInfo>& table() const { return table_; }
  int replicas() const { return replicas_; }
  int slots() const { return static_cast<int>(slots_.size()); }
  Index stride() const { return stride_; }    // floats from one replica to the next
  Index trained() const { return trained_; }  // trained floats of a replica: [0, trained)
  Index offset(int parameter) const { return offsets_[static_cast<std::size_t>(parameter)]; }
  int find(std::string_view name) const;  // -1 when there is none

  Tensor weight(int parameter) const;
  Tensor gradient(int parameter) const;
  float* weights() const { return reinterpret_cast<float*>(weights_.data()); }
  float* gradients() const { return reinterpret_cast<float*>(gradients_.data()); }
  float* slot(int k) const {
    GS_CHECK(k >= 0 && k < slots(), "there is no slot {}, only {}", k, slots());
    return reinterpret_cast<float*>(slots_[static_cast<std::size_t>(k)].data());
  }
  StepParams* params() const { return reinterpret_cast<StepParams*>(params_.data()); }
  ReplicaStatus* status() const { return reinterpret_cast<ReplicaStatus*>(status_.data()); }
  Device& device() const { return device_; }

  // Copies one replica's part of an array (weights, a slot) from or to the host: `stride()` floats.
  std::vector<float> download(const float* array, int replica) const;
  void upload(float* array, int replica, const std::vector<float>& values);
  // Sets a parameter's part of every slot to zero, in all replicas.
  void clear_slots(int parameter);
  std::vector<ReplicaStatus> download_status() const;
  void upload_status(const std::vector<ReplicaStatus>& status);
  void upload_params(const std::vector<StepParams>& params);

  // Counts the times that weights were written from outside a program: what programs keep of them is then out of date.
  // upload() counts by itself; whoever writes through weight() says so.
  std::uint64_t revision() const { return revision_; }
  void note_change() { ++revision_; }

  // Fills every replica's weights from its seed: normal values by Philox (Box-Muller in double), keyed by the
  // parameter's name.
  void initialise(const std::vector<std::uint64_t>& seeds);

 private:
  Device& device_;
  std::vector<ParameterInfo> table_;
  std::vector<Index> offsets_;
  int replicas_;
  Index stride_ = 0, trained_ = 0;
  std::uint64_t revision_ = 1;
  Buffer weights_, gradients_, params_, status_;
  std::vector<Buffer> slots_;
};

}  // namespace gridstep
