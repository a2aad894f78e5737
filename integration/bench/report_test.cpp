#include "integration/bench/report.h"

#include <catch2/catch.hpp>

namespace berth::bench {
namespace {

TEST_CASE("percentiles are values that were measured", "[bench][report]") {
  Samples samples;
  for (const double value : {40.0, 10.0, 30.0, 20.0}) samples.Add(value);
  CHECK(samples.Median() == 20);
  CHECK(samples.Percentile(75) == 30);
  CHECK(samples.Percentile(99) == 40);
  CHECK(samples.Min() == 10);
  CHECK(samples.Summary() == "20.0 (10.0-40.0)");
}

TEST_CASE("durations are shown in milliseconds", "[bench][report]") {
  Samples samples;
  samples.Add(absl::Seconds(1.5));
  CHECK(samples.Median() == 1500);
}

TEST_CASE("a table's columns are as wide as their widest cell", "[bench][report]") {
  Table table({"what", "ms"});
  table.Add({"a deploy", "12.0"});
  CHECK(table.ToString() == "what      ms\na deploy  12.0\n");
}

}  // namespace
}  // namespace berth::bench
