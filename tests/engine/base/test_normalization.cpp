// Normalisations by name and in numbers, and what is refused.
#include "engine/base/normalization.h"

#include "engine/base/error.h"
#include "tests/support/catch.h"

using namespace gridstep;
using Catch::Matchers::Contains;

TEST_CASE("normalisations by name and in numbers") {
  CHECK(parse_normalization("none") == Normalization{});
  CHECK(parse_normalization("imagenet") == Normalization{{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}});
  CHECK(parse_normalization("cifar10").mean[0] == 0.4914f);
  CHECK(parse_normalization(" 0.5, 0, 1/1,0.25 ,0.001") == Normalization{{0.5f, 0.0f, 1.0f}, {1.0f, 0.25f, 0.001f}});
}

TEST_CASE("normalisations that cannot be are refused, and quoted") {
  for (const char* text : {"", "0.5", "0.5/0.5", "0,0,0", "0,0,0/1,1,1/1", "0,0,0/0,1,1", "0,0,0/1,1", "0,0,0,0/1,1,1",
                           "a,0,0/1,1,1", "0,0,0/1,1,x", "0,0,/1,1,1", "-0.1,0,0/1,1,1", "123,117,104/1,1,1",
                           "0,0,0/58,57,57", "nan,0,0/1,1,1", "0,0,0/1,1,inf", "0 0,0,0/1,1,1"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_normalization(text), ConfigError);
    CHECK_THROWS_WITH(parse_normalization(text), Contains("data.normalize: '" + std::string(text) + "'"));
  }
  CHECK_THROWS_WITH(parse_normalization("imagnet"), Contains("did you mean 'imagenet'?"));
}
