#include "integration/bench/report.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/check/check.h"

namespace berth::bench {

double Samples::Percentile(double percent) const {
  BERTH_CHECK(!values_.empty());
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
  return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

double Samples::Min() const {
  BERTH_CHECK(!values_.empty());
  return *std::min_element(values_.begin(), values_.end());
}

std::string Samples::Summary() const {
  return absl::StrCat(Text(Median()), " (", Text(Min()), "-", Text(Max()), ")");
}

void Table::Add(std::vector<std::string> row) {
  BERTH_CHECK(row.size() == rows_.front().size());
  rows_.push_back(std::move(row));
}

std::string Table::ToString() const {
  std::vector<size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      if (i + 1 == row.size()) {
        absl::StrAppend(&text, row[i], "\n");
      } else {
        absl::StrAppend(&text, row[i], std::string(widths[i] - row[i].size() + 2, ' '));
      }
    }
  }
  return text;
}

int ExitCodeOf(int (*benchmark)()) {
  try {
    return benchmark();
  } catch (const std::exception& error) {
    std::cerr << "the benchmark failed: " << error.what() << "\n";
    return 1;
  }
}

double Rounded(double value) { return std::round(value * 10) / 10; }

std::string Text(double value) { return absl::StrFormat("%.1f", value); }

}  // namespace berth::bench
