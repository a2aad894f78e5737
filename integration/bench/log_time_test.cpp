#include "integration/bench/log_time.h"

#include <catch2/catch.hpp>

namespace berth::bench {
namespace {

TEST_CASE("a line's time is that of the first with all the words", "[bench][log_time]") {
  constexpr char kLog[] =
      "2026-01-02T03:04:05.006Z info message=\"starting an instance\" instance=a\n"
      "no time: starting an instance instance=b\n"
      "2026-01-02T03:04:05.007Z info message=\"starting an instance\" instance=b\n"
      "2026-01-02T03:04:05.008Z info message=\"starting an instance\" instance=b\n";
  const auto time = TimeOfLine(kLog, {"starting an instance", "instance=b"});
  REQUIRE(time.has_value());
  CHECK(*time == absl::FromUnixMillis(1767323045007));
  CHECK_FALSE(TimeOfLine(kLog, {"instance=c"}).has_value());
}

}  // namespace
}  // namespace berth::bench
