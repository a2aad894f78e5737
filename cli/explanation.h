#pragma once

#include <string>

#include "absl/time/time.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/exit_code.h"

namespace berth::cli {

// Why an environment is not as it should be, for people: a line for each predicate, and for the one
// that does not hold what led to it and what to do next.
std::string ExplanationText(const scheduler::v1::WhyResponse& why, absl::Time now);

// kSuccess where all is as it should be; kDegraded while something serves; else kDown.
ExitCode ExitCodeFor(const scheduler::v1::WhyResponse& why);

}  // namespace berth::cli
