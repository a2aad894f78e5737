#pragma once

#include <string>

#include "absl/status/status.h"

namespace berth::cli {

// What the daemon of this machine that keeps its state there says of itself at /readyz. OK: it
// serves. kFailedPrecondition: it does not, and why. kUnavailable: it does not answer. kNotFound:
// it has no HTTP, or never ran.
absl::Status ReadinessOf(const std::string& state);

}  // namespace berth::cli
