#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/output.h"

namespace berth::cli {

// What was found of one service's log.
struct LogVerification {
  std::string service;
  // OK, or what is wrong: with the stream, the position and what to do.
  absl::Status found;
  uint64_t cut_position = 0;       // Of the newest record that was cut off; 0: it is whole.
  uint64_t position = 0;           // Up to which it was found to be as it has to be.
  std::string hash;                // Of the record there; raw, and empty where something is wrong.
  uint64_t snapshot_position = 0;  // Of the snapshot that was compared; 0: of none.
  // It was compared with the state that is served, too.
  bool with_served_state = false;
};

// Prints it, and says what to end with: kFailure where something is wrong.
ExitCode Show(const std::vector<LogVerification>& verifications, const Output& output);

}  // namespace berth::cli
