#include "engine/base/names.h"

#include "engine/base/error.h"
#include "tests/support/catch.h"

using namespace gridstep;

TEST_CASE("the nearest name is found, and none where all are far", "[base]") {
  const std::vector<std::string> names{"adam", "adamw", "rmsprop", "sgd", "sgd_clip"};
  CHECK(nearest_name("adma", names) == "adam");
  CHECK(nearest_name("adam", names) == "adam");
  CHECK(nearest_name("admw", names) == "adamw");
  CHECK(nearest_name("rmspropp", names) == "rmsprop");
  CHECK(nearest_name("sgd-clip", names) == "sgd_clip");
  CHECK(nearest_name("momentum", names).empty());
  CHECK(nearest_name("lion", {}).empty());
  CHECK(did_you_mean("adma", names) == " (did you mean 'adam'?)");
  CHECK(did_you_mean("momentum", names).empty());
}

TEST_CASE("lists are joined", "[base]") {
  CHECK(join({"a", "b", "c"}) == "a, b, c");
  CHECK(join({"a", "b"}, " | ") == "a | b");
  CHECK(join({}).empty());
}

TEST_CASE("each error has its exit code", "[base]") {
  const auto code = [](auto&& raise) {
    try {
      raise();
    } catch (const Error& error) {
      return error.exit_code();
    }
    return 0;
  };
  CHECK(code([] { fail("x"); }) == 1);
  CHECK(code([] { fail<ConfigError>("x"); }) == 2);
  CHECK(code([] { fail<DataError>("x"); }) == 3);
  CHECK(code([] { fail<DeviceError>("x"); }) == 4);
  CHECK(code([] { fail<DivergedError>("x"); }) == 5);
  CHECK(code([] { fail<GateError>("x"); }) == 6);
  CHECK(code([] { fail<Interrupted>("x"); }) == 130);
  CHECK_THROWS_WITH(fail("{} of {}", 1, "two"), "1 of two");
  CHECK_THROWS_WITH([] { GS_CHECK(1 == 2, "no {}", 3); }(), "no 3");
  CHECK_NOTHROW([] { GS_CHECK(1 == 1, "no"); }());
}
