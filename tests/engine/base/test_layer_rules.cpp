// Rules of bits per layer: what is read, which layer a rule names, and what is refused.
#include "engine/base/layer_rules.h"

#include "engine/base/error.h"
#include "tests/support/catch.h"

using namespace gridstep;
using Catch::Matchers::Contains;

TEST_CASE("rules of layers are read in order, blanks and empty rules aside", "[quant]") {
  CHECK(parse_layer_rules("").empty());
  CHECK(parse_layer_rules(" ; ").empty());
  const auto rules = parse_layer_rules("layer4.*=4,2;\n fc = float ;x=32, 8;");
  REQUIRE(rules.size() == 3);
  CHECK(rules[0].pattern == "layer4.*");
  CHECK((rules[0].weight_bits == 4 && rules[0].activation_bits == 2));
  CHECK(rules[1].pattern == "fc");
  CHECK((rules[1].weight_bits == 32 && rules[1].activation_bits == 32));
  CHECK((rules[2].weight_bits == 32 && rules[2].activation_bits == 8));
}

TEST_CASE("wildcards of rules", "[quant]") {
  const auto matches = [](const char* pattern, const char* layer) { return rule_matches({pattern, 4, 4}, layer); };
  CHECK(matches("fc", "fc"));
  CHECK_FALSE(matches("fc", "fc2"));
  CHECK(matches("layer?.0.*", "layer2.0.downsample.0"));
  CHECK_FALSE(matches("layer?.0.*", "layer2.1.conv1"));
  CHECK(matches("*conv2", "layer4.1.conv2"));
  CHECK(matches("*", "conv1"));
}

TEST_CASE("rules that cannot be are refused, and quoted", "[quant]") {
  for (const char* text : {"fc", "=4,4", "fc=", "fc=4", "fc=4,4,4", "fc=1,8", "fc=8,9", "fc=x,4", "fc=4,", "fc=16,8",
                           "fc=4.5,4", "ok=4,4; fc=0,0"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_layer_rules(text), ConfigError);
    CHECK_THROWS_WITH(parse_layer_rules(text), Contains("quant.layers: '"));
  }
}
