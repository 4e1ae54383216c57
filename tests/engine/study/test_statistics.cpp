#include <cmath>
#include <limits>
#include <vector>

#include "engine/base/error.h"
#include "engine/study/statistics.h"
#include "tests/support/catch.h"

using namespace gridstep;

namespace {

bool near(double got, double want, double relative) {
  return std::isfinite(got) && std::abs(got - want) <= relative * std::abs(want);
}

}  // namespace

TEST_CASE("student t quantiles equal the printed tables", "[study]") {
  struct Row {
    double probability, freedom, quantile;
  };
  // Six significant digits, as in common tables.
  const std::vector<Row> table = {
      {0.975, 1, 12.7062},  {0.975, 3, 3.18245},   {0.975, 5, 2.57058}, {0.975, 9, 2.26216}, {0.975, 10, 2.22814},
      {0.975, 30, 2.04227}, {0.975, 100, 1.98397}, {0.95, 9, 1.83311},  {0.995, 4, 4.60409}, {0.9, 20, 1.32534}};
  for (const auto& row : table) {
    INFO("p " << row.probability << " df " << row.freedom);
    CHECK(near(student_t_quantile(row.probability, row.freedom), row.quantile, 3e-6));
    CHECK(near(student_t_quantile(1 - row.probability, row.freedom), -row.quantile, 3e-6));
  }
}

TEST_CASE("student t quantiles equal the closed forms", "[study]") {
  for (const double p : {0.6, 0.9, 0.975, 0.9995}) {
    // One and two degrees of freedom have elementary quantiles.
    CHECK(near(student_t_quantile(p, 1), std::tan(M_PI * (p - 0.5)), 1e-11));
    CHECK(near(student_t_quantile(p, 2), (2 * p - 1) / std::sqrt(2 * p * (1 - p)), 1e-11));
  }
  CHECK(std::abs(student_t_quantile(0.5, 7)) < 1e-7);
  CHECK_THROWS_AS(student_t_quantile(1.0, 3), Error);
  CHECK_THROWS_AS(student_t_quantile(std::nan(""), 3), Error);
}

TEST_CASE("the incomplete beta function", "[study]") {
  CHECK(incomplete_beta(2, 3, 0) == 0);
  CHECK(incomplete_beta(2, 3, 1) == 1);
  CHECK(near(incomplete_beta(1, 1, 0.3), 0.3, 1e-13));
  // I_x(2, 3) = 6x^2 - 8x^3 + 3x^4
  const double x = 0.4;
  CHECK(near(incomplete_beta(2, 3, x), 6 * x * x - 8 * x * x * x + 3 * x * x * x * x, 1e-13));
  CHECK(near(incomplete_beta(5, 0.5, 0.2) + incomplete_beta(0.5, 5, 0.8), 1, 1e-13));
}

TEST_CASE("mean, deviation and interval of a sample", "[study]") {
  const SampleSummary s = summarize(std::vector<double>{2, 4, 4, 4, 5, 5, 7, 9});
  CHECK(s.n == 8);
  CHECK(*s.mean == 5);
  CHECK(near(*s.std, std::sqrt(32.0 / 7), 1e-14));
  const double half = 2.364624 * std::sqrt(32.0 / 7 / 8);
  CHECK(near(s.ci95->first, 5 - half, 1e-6));
  CHECK(near(s.ci95->second, 5 + half, 1e-6));
}

TEST_CASE("small and bad samples", "[study]") {
  CHECK_FALSE(summarize({}).mean);
  const SampleSummary one = summarize(std::vector<double>{3});
  CHECK(*one.mean == 3);
  CHECK_FALSE(one.std);
  CHECK_FALSE(one.ci95);
  CHECK_THROWS_AS(summarize(std::vector<double>{1, std::numeric_limits<double>::quiet_NaN()}), Error);
}

TEST_CASE("ranks share ties and put diverged rows last", "[study]") {
  const std::vector<RankKey> rows = {{30.0, false}, {31.0, true},  {std::nullopt, true},
                                     {30.0, false}, {29.0, false}, {std::nullopt, true}};
  CHECK(rank_rows(rows, true) == std::vector<int>{1, 4, 5, 1, 3, 5});
  CHECK(rank_rows(rows, false) == std::vector<int>{2, 4, 5, 2, 1, 5});
}
