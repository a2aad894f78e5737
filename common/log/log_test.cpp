#include "common/log/log.h"

#include <catch2/catch.hpp>

namespace berth {
namespace {

TEST_CASE("a log line quotes what would break it", "[log]") {
  CHECK(
      FormatLogLine(LogLevel::kInfo, "instance started", {{"instance", "web-1"}, {"attempt", 2}}) ==
      "info message=\"instance started\" instance=web-1 attempt=2");
  CHECK(FormatLogLine(LogLevel::kError, "failed", {{"why", "a \"b\"\nc"}, {"empty", ""}}) ==
        "error message=failed why=\"a \\\"b\\\"\\nc\" empty=\"\"");
}

}  // namespace
}  // namespace berth
