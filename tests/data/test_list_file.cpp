// Lists of files: what data sets put around their paths, and what must not be in one.
#include "data/list_file.h"

#include "engine/base/error.h"
#include "tests/data/pictures.h"

using namespace gridstep;
using namespace gridstep::test;
using Catch::Matchers::Contains;

namespace {

std::vector<std::string> texts(std::string_view content) {
  std::vector<std::string> result;
  for (const ListLine& line : parse_list(content, "a.lst")) result.push_back(line.text);
  return result;
}

}  // namespace

TEST_CASE("lists may have a byte order mark, CRLF, prefixes, blank lines and blanks", "[data]") {
  const std::vector<std::string> expected{"a/b c.jpg", "d.jpeg"};
  CHECK(texts("a/b c.jpg\nd.jpeg\n") == expected);
  CHECK(texts("\xEF\xBB\xBF.//a/b c.jpg\r\n\r\n.//d.jpeg") == expected);
  CHECK(texts("./a/b c.jpg \t\r\n   \n././/d.jpeg\n\n") == expected);
  CHECK(texts("").empty());
  CHECK(texts("\xEF\xBB\xBF\r\n./\n").empty());
  CHECK(parse_list("x\n\n\ny", "a.lst")[1].number == 4);
  CHECK(texts(".hidden/..a/b..") == std::vector<std::string>{".hidden/..a/b.."});
}

TEST_CASE("a list does not lead out of its data set", "[data]") {
  for (const std::string_view line : {"/etc/passwd", "../x.jpg", "a/../../x.jpg", "a/..", "//x"}) {
    INFO(line);
    CHECK_THROWS_WITH(texts("ok.jpg\n" + std::string(line) + "\n"), Contains("a.lst") && Contains("line 2"));
  }
  CHECK_THROWS_AS(texts(std::string_view("a\0b", 3)), DataError);
}
