#include "cli/moment.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/errors.h"
#include "cli/streams.h"

namespace berth::cli {
namespace {

constexpr const char* kTimeFormats[] = {"%Y-%m-%d%ET%H:%M:%E*S%Ez",
                                        "%Y-%m-%d%ET%H:%M%Ez",
                                        "%Y-%m-%d%ET%H:%M:%E*S",
                                        "%Y-%m-%d%ET%H:%M",
                                        "%Y-%m-%d %H:%M:%E*S",
                                        "%Y-%m-%d %H:%M",
                                        "%Y-%m-%d"};

bool ParseAge(absl::string_view text, absl::Duration* age) {
  uint64_t days = 0;
  if (absl::EndsWith(text, "d") && absl::SimpleAtoi(text.substr(0, text.size() - 1), &days)) {
    *age = absl::Hours(24) * static_cast<int64_t>(std::min<uint64_t>(days, 1'000'000));
    return true;
  }
  return absl::ParseDuration(std::string(text), age) && *age >= absl::ZeroDuration();
}

}  // namespace

absl::StatusOr<Moment> ParseMoment(absl::string_view text, absl::Time now) {
  if (text == "now") return Moment(now);
  absl::Duration age;
  if (ParseAge(text, &age)) return Moment(now - age);
  absl::Time time;
  for (const char* format : kTimeFormats) {
    std::string error;
    if (absl::ParseTime(format, std::string(text), absl::UTCTimeZone(), &time, &error)) {
      return Moment(time);
    }
  }
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  eventlog::v1::RecordId id;
  uint64_t position = 0;
  if (parts.size() == 2 && absl::SimpleAtoi(parts[1], &position) && position > 0 &&
      std::find(std::begin(kStreams), std::end(kStreams), parts[0]) != std::end(kStreams)) {
    id.set_stream(parts[0]);
    id.set_position(position);
    return Moment(std::move(id));
  }
  return UsageError(absl::StrCat("\"", std::string(text),
                                 "\" is no moment: say how long ago (90s, 2h, 3d), a time "
                                 "(2026-05-01T09:30, in UTC) or a record (config/42, as `berth "
                                 "events` shows them)"));
}

}  // namespace berth::cli
