#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/json.h"

namespace berth::cli {

// Runs berth-archive, which stands beside this program, with these words, and gives what it says.
// Its errors are this function's. It gets Ctrl-C as this process does. kFailedPrecondition: it
// cannot be run.
absl::StatusOr<Json> RunArchiveProgram(const std::vector<std::string>& words);

}  // namespace berth::cli
