#include "engine/study/statistics.h"

#include <cmath>
#include <limits>

#include "engine/base/error.h"

namespace gridstep {
namespace {

// Keeps a term of the fraction from becoming exactly zero, as Lentz's method asks.
double away_from_zero(double v) {
  constexpr double kTiny = 1e-300;
  return std::abs(v) < kTiny ? kTiny : v;
}

double beta_fraction(double a, double b, double x) {
  constexpr int kMaxTerms = 10000;
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double f = d;
  for (int m = 1; m <= kMaxTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    f *= c * d;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    f *= c * d;
    if (std::abs(c * d - 1) < 4 * std::numeric_limits<double>::epsilon()) return f;
  }
  fail("incomplete beta function: no convergence at a = {}, b = {}, x = {}", a, b, x);
}

// P(T > t) for t >= 0.
double student_t_tail(double t, double freedom) {
  return 0.5 * incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t));
}

}  // namespace

double incomplete_beta(double a, double b, double x) {
  GS_CHECK(a > 0 && b > 0 && x >= 0 && x <= 1, "incomplete beta function: a = {}, b = {}, x = {}", a, b, x);
  if (x == 0 || x == 1) return x;
  // The fraction converges fast below the mean of the distribution; above it the mirrored one does.
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
  const double log_front = std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
  return std::exp(log_front) * beta_fraction(a, b, x) / a;
}

double student_t_quantile(double probability, double freedom) {
  GS_CHECK(probability > 0 && probability < 1 && freedom > 0, "Student-t quantile of {} with {} degrees of freedom",
           probability, freedom);
  if (probability < 0.5) return -student_t_quantile(1 - probability, freedom);
  const double tail = 1 - probability;
  double lo = 0;
  double hi = 1;
  while (student_t_tail(hi, freedom) > tail) hi *= 2;
  // Bisection to the last bit: the table needs it a few times per study, and it cannot fail.
  for (double middle = lo + (hi - lo) / 2; middle > lo && middle < hi; middle = lo + (hi - lo) / 2) {
    (student_t_tail(middle, freedom) > tail ? lo : hi) = middle;
  }
  return hi;
}

SampleSummary summarize(std::span<const double> values) {
  SampleSummary summary;
  summary.n = values.size();
  if (values.empty()) return summary;
  const double n = static_cast<double>(values.size());
  double sum = 0;
  for (const double v : values) {
    GS_CHECK(std::isfinite(v), "statistics of a value that is not finite ({})", v);
    sum += v;
  }
  const double mean = sum / n;
  summary.mean = mean;
  if (values.size() < 2) return summary;
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  const double std = std::sqrt(squares / (n - 1));
  const double half = student_t_quantile(0.975, n - 1) * std / std::sqrt(n);
  summary.std = std;
  summary.ci95 = std::pair{mean - half, mean + half};
  return summary;
}

std::vector<int> rank_rows(std::span<const RankKey> rows, bool higher_is_better) {
  const auto tier = [](const RankKey& row) { return !row.score ? 2 : row.some_diverged ? 1 : 0; };
  const auto better = [&](const RankKey& a, const RankKey& b) {
    if (tier(a) != tier(b)) return tier(a) < tier(b);
    if (!a.score) return false;
    return higher_is_better ? *a.score > *b.score : *a.score < *b.score;
  };
  std::vector<int> ranks;
  for (const auto& row : rows) {
    int rank = 1;
    for (const auto& other : rows) rank += better(other, row) ? 1 : 0;
    ranks.push_back(rank);
  }
  return ranks;
}

}  // namespace gridstep
