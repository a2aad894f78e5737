#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace berth {

// What every daemon's main begins and ends with.

// Takes SIGTERM and SIGINT out of every thread's way, so that WaitForStop gets them, and ignores
// SIGPIPE. Call it before the first thread is started.
void BlockStopSignals();

// Sleeps until SIGTERM or SIGINT arrives.
void WaitForStop();

// The same for at most `timeout`; whether a signal arrived.
bool WaitForStop(absl::Duration timeout);

// Makes the folder, and those above it, mode 0700 where it is new.
absl::Status MakeFolder(const std::string& path);

// The FILE of `--settings FILE`, the one argument that daemons take. Anything else is
// kInvalidArgument with a line on how to call `program`.
absl::StatusOr<std::string> SettingsPathOf(int argc, char** argv);

// Prints the error for a person and returns main's result for it.
int ExitWith(const absl::Status& status);

}  // namespace berth
