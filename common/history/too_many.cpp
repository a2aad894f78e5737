#include "common/history/too_many.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/status/error_details.h"

namespace berth {
namespace {

constexpr absl::Duration kRetryDelay = absl::Seconds(1);

}  // namespace

absl::Status TooMany(absl::string_view what, size_t limit) {
  return WithRetryDelay(
      WithReason(absl::ResourceExhaustedError(
                     absl::StrCat("there are ", what, " under way here already, and no more than ",
                                  limit, " at once; try again in a moment")),
                 reason::kQueueFull, {{"limit", absl::StrCat(limit)}}),
      kRetryDelay);
}

}  // namespace berth
