// From keys to phases: float epochs, falling bits, frozen statistics.
#include "engine/study/training_phases.h"

#include "engine/base/error.h"
#include "engine/study/definition.h"
#include "engine/study/grid.h"
#include "support/catch.h"

using namespace gridstep;

namespace {

Config config_of(const std::string& keys) {
  Study study = parse_study("[model]\nname = \"resnet20\"\n[train]\nepochs = 10\n[optim]\nlr = 0.1\n", "test");
  for (std::size_t at = 0; at < keys.size();) {
    const std::size_t end = std::min(keys.find(' ', at), keys.size());
    apply_set(study, keys.substr(at, end - at));
    at = end + 1;
  }
  return expand_cells(study).front().config;
}

std::string text_of(const std::vector<Phase>& phases) {
  std::string text;
  for (const Phase& p : phases) {
    text += fmt::format("{}:{}{} ", p.first_epoch,
                        p.quantized ? fmt::format("{},{}", p.weight_bits, p.activation_bits) : "float",
                        p.frozen_norm ? " frozen" : "");
  }
  return text;
}

std::string phases_of(const std::string& keys) { return text_of(training_phases(config_of(keys))); }

}  // namespace

TEST_CASE("phases follow from the keys", "[study]") {
  CHECK(phases_of("") == "0:8,8 ");
  CHECK(phases_of("quant.quantizer=none") == "0:float ");
  CHECK(phases_of("quant.weight_bits=32 quant.activation_bits=32") == "0:float ");
  CHECK(phases_of("quant.weight_bits=32") == "0:32,8 ");
  CHECK(phases_of("quant.float_epochs=2 quant.weight_bits=4") == "0:float 2:4,8 ");
  CHECK(phases_of("quant.progressive=3:8,8;2:4,4 quant.weight_bits=2 quant.activation_bits=2") == "0:8,8 3:4,4 5:2,2 ");
  CHECK(phases_of("quant.float_epochs=1 quant.progressive=3:8,8; quant.weight_bits=2") == "0:float 1:8,8 4:2,8 ");
  // The first of two cells: the other one uses the key, so that nothing is refused.
  CHECK(phases_of("quant.progressive=3:8,8 grid.quant.weight_bits=32,4") == "0:32,8 ");
}

TEST_CASE("frozen statistics cut the phase that they begin in, and mark all later ones", "[study]") {
  CHECK(phases_of("train.frozen_norm_epochs=3") == "0:8,8 7:8,8 frozen ");
  CHECK(phases_of("quant.quantizer=none train.frozen_norm_epochs=1") == "0:float 9:float frozen ");
  const std::string falling = "quant.progressive=4:8,8;2:4,4 quant.weight_bits=2 ";
  CHECK(phases_of(falling + "train.frozen_norm_epochs=4") == "0:8,8 4:4,4 6:2,8 frozen ");
  CHECK(phases_of(falling + "train.frozen_norm_epochs=5") == "0:8,8 4:4,4 5:4,4 frozen 6:2,8 frozen ");
  CHECK(phases_of("train.frozen_norm_epochs=10 train.init=some.safetensors") == "0:8,8 frozen ");
}

TEST_CASE("phases that cannot be are refused", "[study]") {
  const auto refused = [](const std::string& keys, const std::string& with) {
    CAPTURE(keys);
    CHECK_THROWS_AS(config_of(keys), ConfigError);
    CHECK_THROWS_WITH(config_of(keys), Catch::Matchers::Contains(with));
  };
  for (const char* entry : {"8,8", "x:8,8", "0:8,8", "2:9,8", "2:8,1", "2:8", "2:8,8,8", "2:8,8x", "-1:8,8", "2:32,32",
                            "2:4294967304,8", "99999999999999999999:8,8"})
    refused(std::string("quant.progressive=") + entry, "EPOCHS:W,A");
  refused("quant.progressive=10:4,4", "leaves no epoch");
  refused("quant.float_epochs=4 quant.progressive=3:8,8;3:4,4", "leaves no epoch");
  refused("quant.progressive=2:8,8 quant.weight_bits=32", "no effect");
  refused("quant.progressive=2:8,8 quant.quantizer=none", "no effect");
  refused("train.frozen_norm_epochs=10", "cannot rest");
  refused("train.frozen_norm_epochs=11", "more than");
  refused("model.name=espcn train.frozen_norm_epochs=1", "only classification");
}
