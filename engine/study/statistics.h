// Small-sample statistics of the study table.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace gridstep {

struct SampleSummary {
  std::size_t n = 0;
  std::optional<double> mean;                     // of n >= 1 values
  std::optional<double> std;                      // with n - 1 in the denominator; of n >= 2
  std::optional<std::pair<double, double>> ci95;  // Student-t interval of the mean; of n >= 2
};

// Throws Error for a value that is not finite.
SampleSummary summarize(std::span<const double> values);

// I_x(a, b), the regularized incomplete beta function, a, b > 0 and 0 <= x <= 1: the continued fraction of
// DLMF 8.17.22, evaluated by Lentz's method; about 1e-14 relative.
double incomplete_beta(double a, double b, double x);

// The quantile of Student's t distribution with `freedom` degrees of freedom: P(T <= t) = probability, 0 < probability
// < 1.
double student_t_quantile(double probability, double freedom);

struct RankKey {
  std::optional<double> score;  // nullopt: every run diverged
  bool some_diverged = false;
};

// 1 is best; equals share the better rank (1, 2, 2, 4). Rows without a diverged run come first, then rows with some,
// then rows without a score: a mean over the survivors alone must not win.
std::vector<int> rank_rows(std::span<const RankKey> rows, bool higher_is_better);

}  // namespace gridstep
