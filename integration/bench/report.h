#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace berth::bench {

// What was measured, once for each round.
class Samples {
 public:
  void Add(double value) { values_.push_back(value); }
  void Add(absl::Duration value) { Add(absl::ToDoubleMilliseconds(value)); }

  bool empty() const { return values_.empty(); }

  // The smallest value that at least `percent` of all are not above (nearest rank); `percent` is
  // above 0 and at most 100. Not of no samples.
  double Percentile(double percent) const;
  double Median() const { return Percentile(50); }
  double Min() const;
  double Max() const { return Percentile(100); }

  // Such as "12.3 (11.0-19.4)": median, smallest and largest.
  std::string Summary() const;

 private:
  std::vector<double> values_;
};

// A table for people: columns as wide as their widest cell, numbers as they were written.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }

  // As many cells as the head has.
  void Add(std::vector<std::string> row);
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Runs a benchmark, and says on standard error what it threw.
int ExitCodeOf(int (*benchmark)());

// With one digit behind the point, as the tables and results show numbers.
double Rounded(double value);
std::string Text(double value);

}  // namespace berth::bench
