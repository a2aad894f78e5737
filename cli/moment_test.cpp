#include "cli/moment.h"

#include <catch2/catch.hpp>
#include <string>

#include "common/testing/printers.h"

namespace berth::cli {
namespace {

const absl::Time kNow =
    absl::FromCivil(absl::CivilSecond(2026, 5, 2, 12, 0, 0), absl::UTCTimeZone());

TEST_CASE("a moment is an age, a time or a record", "[cli][moment]") {
  const auto at = [](int day, int hour, int minute, int second) {
    return absl::FromCivil(absl::CivilSecond(2026, 5, day, hour, minute, second),
                           absl::UTCTimeZone());
  };
  const auto [text, time] = GENERATE_COPY(table<std::string, absl::Time>({
      {"now", kNow},
      {"90s", at(2, 11, 58, 30)},
      {"1h30m", at(2, 10, 30, 0)},
      {"1d", at(1, 12, 0, 0)},
      {"2026-05-01", at(1, 0, 0, 0)},
      {"2026-05-01T09:30", at(1, 9, 30, 0)},
      {"2026-05-01 09:30:15", at(1, 9, 30, 15)},
      {"2026-05-01T09:30:15Z", at(1, 9, 30, 15)},
      {"2026-05-01T09:30:15+02:00", at(1, 7, 30, 15)},
  }));
  CAPTURE(text);
  const auto moment = ParseMoment(text, kNow);
  REQUIRE(moment.status() == absl::OkStatus());
  CHECK(std::get<absl::Time>(*moment) == time);
}

TEST_CASE("a record is named by its service and position", "[cli][moment]") {
  const auto moment = ParseMoment("edge-router/42", kNow);
  REQUIRE(moment.status() == absl::OkStatus());
  const auto& id = std::get<eventlog::v1::RecordId>(*moment);
  CHECK(id.stream() == "edge-router");
  CHECK(id.position() == 42);
}

TEST_CASE("what is no moment is told what would be one", "[cli][moment]") {
  const std::string text =
      GENERATE("", "yesterday", "config/0", "config/", "nothing/3", "config/3/4", "-5m", "5", "d");
  CAPTURE(text);
  const auto moment = ParseMoment(text, kNow);
  CHECK_FALSE(moment.ok());
  CHECK_THAT(std::string(moment.status().message()), Catch::Contains("berth events"));
}

}  // namespace
}  // namespace berth::cli
