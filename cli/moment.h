#pragma once

#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "berth/eventlog/v1/record.pb.h"

namespace berth::cli {

// When something was: a time, or a record of a log.
using Moment = std::variant<absl::Time, eventlog::v1::RecordId>;

// What a person calls a moment: now, 90s, 5m, 2h or 3d (ago), 2026-05-01, 2026-05-01T09:30,
// 2026-05-01T09:30:15Z (UTC unless it says otherwise), or SERVICE/POSITION. A usage error: none of
// these.
absl::StatusOr<Moment> ParseMoment(absl::string_view text, absl::Time now);

// What `--since` and its like take, for their help.
inline constexpr char kMomentPlaceholder[] = "2h|TIME|SERVICE/POSITION";

}  // namespace berth::cli
