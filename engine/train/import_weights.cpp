#include "engine/train/import_weights.h"

#include <algorithm>
#include <set>

#include "engine/base/error.h"
#include "engine/base/strict_math.h"
#include "engine/train/checkpoint.h"
#include "engine/train/stored_layout.h"

namespace gridstep {
namespace {

const ArrayView* find_tensor(const SafetensorsFile& file, const std::string& name) {
  const ArrayView* tensor = file.find(name);
  return tensor != nullptr ? tensor : file.find("module." + name);
}

std::string shape_text(const std::vector<Index>& shape) { return fmt::format("({})", fmt::join(shape, ", ")); }

// (K, C) stands for (K, C, 1, 1).
std::vector<Index> widened(std::vector<Index> shape, std::size_t rank) {
  if (shape.size() == 2 && rank == 4) shape.insert(shape.end(), {1, 1});
  return shape;
}

bool differs_in_classes_only(const ParameterInfo& info, const std::vector<Index>& have,
                             const std::vector<Index>& want) {
  return !info.clip_units && have.size() == want.size() && !have.empty() && have[0] != want[0] &&
         std::equal(have.begin() + 1, have.end(), want.begin() + 1);
}

std::string some_names(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, names.size()));
  return fmt::format("{}{}", fmt::join(names.begin(), end, ", "), names.size() > kShown ? ", ..." : "");
}

void check_finished_well(const SafetensorsFile& file) {
  const auto fault = file.metadata().find("first_fault");
  if (fault != file.metadata().end() && fault->second != "0")
    fail<DataError>("{} is of a network that diverged", file.path().string());
}

class Import {
 public:
  Import(const SafetensorsFile& file, const ParameterStore& store, std::vector<float>& flat)
      : file_(file), store_(store), flat_(flat) {}

  ImportReport run() {
    for (std::size_t p = 0; p < store_.table().size(); ++p) take(p);
    for (const ArrayView& tensor : file_.arrays()) {
      if (used_.count(&tensor) == 0 && !tensor.name.starts_with(kOptimizerPrefix))
        report_.skipped.push_back(tensor.name);
    }
    return std::move(report_);
  }

 private:
  void take(std::size_t p) {
    const ParameterInfo& info = store_.table()[p];
    const ArrayView* tensor = find_tensor(file_, info.name);
    if (tensor == nullptr) return note_missing(info);
    used_.insert(tensor);
    const std::vector<Index> want = stored_shape(info.shape), have = widened(tensor->shape, want.size());
    if (differs_in_classes_only(info, have, want)) {
      report_.head.push_back(info.name);
      return;
    }
    if (have != want) {
      fail<DataError>("{}: '{}' is {}, the network wants {}; is it of another model, stem or number of channels?",
                      file_.path().string(), tensor->name, shape_text(tensor->shape), shape_text(want));
    }
    const std::vector<float> values = floats_of(*tensor, file_.path());
    require_finite(*tensor, values);
    from_stored(info.shape, values, flat_.data() + store_.offset(static_cast<int>(p)));
    report_.matched.push_back(info.name);
  }

  void require_finite(const ArrayView& tensor, const std::vector<float>& values) const {
    const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !strict::is_finite(v); });
    if (bad == values.end()) return;
    fail<DataError>("{}: '{}' holds {} at element {}; no network can start from that", file_.path().string(),
                    tensor.name, *bad, bad - values.begin());
  }

  void note_missing(const ParameterInfo& info) {
    if (info.role == Role::kWeight || info.role == Role::kBias) {
      std::vector<std::string> names;
      for (const ArrayView& tensor : file_.arrays()) names.push_back(tensor.name);
      fail<DataError>("{} holds no '{}'; a start must bring all weights of the network. It holds {} tensors: {}",
                      file_.path().string(), info.name, names.size(), some_names(names));
    }
    const bool of_step = info.role == Role::kStep || info.name.ends_with("_step0");
    (of_step ? report_.calibrated : report_.fresh).push_back(info.name);
  }

  const SafetensorsFile& file_;
  const ParameterStore& store_;
  std::vector<float>& flat_;
  ImportReport report_;
  std::set<const ArrayView*> used_;
};

}  // namespace

std::string ImportReport::text() const {
  std::string text = fmt::format("{} tensors taken", matched.size());
  const auto add = [&](const std::vector<std::string>& names, std::string_view what) {
    if (!names.empty()) text += fmt::format("; {} {} ({})", names.size(), what, some_names(names));
  };
  add(head, "of the head begin anew, for another number of classes");
  add(calibrated, "of quantizers, calibrated from data");
  add(fresh, "not in it keep their initial values");
  add(skipped, "in it not used");
  return text;
}

ImportReport import_weights(const SafetensorsFile& file, ParameterStore& store, int replica) {
  check_finished_well(file);
  std::vector<float> flat = store.download(store.weights(), replica);
  ImportReport report = Import(file, store, flat).run();
  store.upload(store.weights(), replica, flat);
  return report;
}

}  // namespace gridstep
