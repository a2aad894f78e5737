#pragma once

#include "absl/status/status.h"

namespace berth::cli {

// What `berth` ends with. Scripts branch on these: they never change their meaning.
enum class ExitCode {
  kSuccess = 0,
  kFailure = 1,
  // A command line that cannot be understood, or a question that cannot be asked.
  kUsage = 2,
  kNotFound = 3,
  // Not signed in, or not allowed.
  kForbidden = 4,
  // What exists already, or is in another state than the command needs.
  kConflict = 5,
  kTimedOut = 6,
  kUnreachable = 7,
  // A manifest or another input is wrong.
  kInvalid = 8,
  kRolloutFailed = 9,
  // No room, or over a limit.
  kExhausted = 10,
  // `berth why`: not as it should be, with something that serves or without.
  kDegraded = 21,
  kDown = 22,
  // `berth exec`: the command did not begin, or nobody knows how it ended. Otherwise it ends as the
  // command did, with 126 where that cannot be run and 127 where there is none of that name.
  kExecFailed = 125,
  kInterrupted = 130,
};

// By the error's reason where that says more than its code.
ExitCode ExitCodeFor(const absl::Status& status);

}  // namespace berth::cli
