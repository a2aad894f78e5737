#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth::cli {

// Reasons that only the command line gives, beside those of common/status/error_details.h.
inline constexpr char kUsageReason[] = "USAGE";
inline constexpr char kRolloutFailedReason[] = "ROLLOUT_FAILED";

// The command line does not say what is wanted.
absl::Status UsageError(absl::string_view what);

// The same error, and what the person can do about it.
absl::Status WithAction(const absl::Status& status, absl::string_view action);

// What the person can do about an error: what it says itself, or what usually helps against its
// kind. Empty where nothing is known to.
std::string ActionFor(const absl::Status& status);

// ErrorInfo's reason, or the name of the code where there is none.
std::string ReasonOrCode(const absl::Status& status);

// For a terminal: "error: …", the wrong fields where the message does not name them, "next: …".
// Ends with a line break.
std::string ErrorText(const absl::Status& status);

// For programs: one line of JSON of the kind Error.
std::string ErrorDocument(const absl::Status& status);

}  // namespace berth::cli
