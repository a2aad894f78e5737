#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

// The reasons a program may branch on (google.rpc.ErrorInfo, domain "berth"). A closed list: a new
// one is added here. An error made without a reason gets the name of its code.
namespace reason {
inline constexpr char kManifestInvalid[] = "MANIFEST_INVALID";
inline constexpr char kRequestIdReused[] = "REQUEST_ID_REUSED";
inline constexpr char kTokenInvalid[] = "TOKEN_INVALID";
inline constexpr char kSessionNeeded[] = "SESSION_NEEDED";
inline constexpr char kNotLeader[] = "NOT_LEADER";
inline constexpr char kNotReady[] = "NOT_READY";
inline constexpr char kQueueFull[] = "QUEUE_FULL";
inline constexpr char kRequestsFull[] = "REQUESTS_FULL";
inline constexpr char kKeyChanged[] = "KEY_CHANGED";
inline constexpr char kRouteTaken[] = "ROUTE_TAKEN";
inline constexpr char kNoRoom[] = "NO_ROOM";
inline constexpr char kHostUnreachable[] = "HOST_UNREACHABLE";
}  // namespace reason

// One wrong field, as google.rpc.BadRequest names it.
struct FieldViolation {
  std::string field;
  std::string description;
};

// An error that carries what a program can act on, beside its message for people. The details ride
// in the status's payloads under google.rpc type URLs; common/rpc puts them on the wire.
absl::Status WithReason(absl::Status status, absl::string_view reason,
                        std::map<std::string, std::string> metadata = {});
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);
absl::Status WithFieldViolations(absl::Status status,
                                 const std::vector<FieldViolation>& violations);

// What the functions above put in; empty where they put nothing.
std::string ReasonOf(const absl::Status& status);
std::map<std::string, std::string> ReasonMetadataOf(const absl::Status& status);
std::vector<FieldViolation> FieldViolationsOf(const absl::Status& status);
std::optional<absl::Duration> RetryDelayOf(const absl::Status& status);

// The same error with `prefix`, ": " and the old message, details kept.
absl::Status Annotate(const absl::Status& status, absl::string_view prefix);

}  // namespace berth
