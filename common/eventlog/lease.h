#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/status/error_details.h"

namespace berth {

// Who holds a log's lease, as the others are told.
struct LeaseHolder {
  std::string name = {};
  // HOST:PORT where clients reach it; empty: nobody was told.
  std::string address = {};
};

// The refusal of a lease that another process holds: kUnavailable, with the reason NOT_LEADER and
// where the holder is reached. A log that cannot be reached has no reason.
inline absl::Status LeaseHeldBy(absl::string_view stream, const LeaseHolder& holder) {
  return WithReason(
      absl::UnavailableError(absl::StrCat("stream ", stream, " is held by ", holder.name)),
      reason::kNotLeader, {{"holder", holder.name}, {"address", holder.address}});
}

inline bool IsLeaseHeldByAnother(const absl::Status& status) {
  return absl::IsUnavailable(status) && ReasonOf(status) == reason::kNotLeader;
}

}  // namespace berth
