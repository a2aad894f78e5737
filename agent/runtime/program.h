#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace berth {

struct ProgramResult {
  int exit_code = 0;   // 128 + n where signal n ended it.
  std::string output;  // Both streams as they came, cut at the limit that was asked for.
};

struct ProgramLimits {
  absl::Duration timeout = absl::Seconds(30);
  size_t output_bytes_max = size_t{64} << 10;
};

// Runs a program of this host to its end, with this process's environment and no input. A name
// without a slash is looked up in PATH. kNotFound: there is no such program. kDeadlineExceeded: the
// timeout passed; the program was killed, after `before_kill` was called if it was given.
absl::StatusOr<ProgramResult> RunProgram(const std::vector<std::string>& arguments,
                                         const ProgramLimits& limits,
                                         const std::function<void()>& before_kill = nullptr);

// Where PATH, or failing that the folders for administration, has the program.
std::optional<std::string> FindProgram(const std::string& name);

}  // namespace berth
