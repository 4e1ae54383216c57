#include "engine/tensor/tensor.h"

#include "tests/support/catch.h"

using namespace gridstep;

TEST_CASE("shapes count, compare and print", "[tensor]") {
  const Shape s{16, 17, 17, 64};
  CHECK(s.rank() == 4);
  CHECK(s.elements() == 16 * 17 * 17 * 64);
  CHECK(s.text() == "(16, 17, 17, 64)");
  CHECK(Shape{}.elements() == 1);
  CHECK(Shape{}.text() == "()");
  CHECK(Shape{3, 0, 2}.elements() == 0);
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK_FALSE(Shape{2, 3} == Shape{3, 2});
  CHECK_FALSE(Shape{2} == Shape{2, 1});
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1}), Error);
  CHECK_THROWS_AS((Shape{2, -1}), Error);
}

TEST_CASE("types have sizes and names", "[tensor]") {
  CHECK((size_of(DType::kF32) == 4 && size_of(DType::kF64) == 8 && size_of(DType::kU8) == 1 &&
         size_of(DType::kS8) == 1 && size_of(DType::kS32) == 4 && size_of(DType::kU32) == 4));
  CHECK(name_of(DType::kS8) == "s8");
  CHECK(ValueSpec{{2, 3}, DType::kF64}.bytes() == 48);
  CHECK(ValueSpec{{2, 3}, DType::kU8}.text() == "u8 (2, 3)");
}

TEST_CASE("views find their replica", "[tensor]") {
  float memory[32] = {};
  memory[16] = 5.0f;
  const Tensor t{reinterpret_cast<std::byte*>(memory), {4}, DType::kF32, 64};
  CHECK(*t.at<float>(1) == 5.0f);
  CHECK(t.at<float>(0) == memory);
  CHECK(t.elements() == 4);
}

TEST_CASE("sizes align upwards", "[tensor]") {
  CHECK(align_up(0) == 0);
  CHECK(align_up(1) == 256);
  CHECK(align_up(256) == 256);
  CHECK(align_up(257) == 512);
  CHECK(align_up(9, 8) == 16);
}
