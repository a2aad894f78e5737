#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/net/unique_fd.h"

namespace berth::cli {

// A daemon that runs on this machine without an init system: what it is started with, and where its
// pid and what it prints are kept.
struct DaemonProcess {
  std::vector<std::string> arguments;  // The program's path first.
  std::string pid_file;
  std::string log_file;  // Appended to.
};

// A handle on a process: its descriptor becomes readable when it has ended.
struct RunningProcess {
  pid_t pid = 0;
  UniqueFd exit;
};

// The daemon's process, if it runs. A pid counts only while that process was started with the very
// arguments, so a stale file never names a stranger.
std::optional<RunningProcess> FindDaemon(const DaemonProcess& daemon);

// Starts the daemon in a session of its own, in the folder /, with no input and no open files of
// this process's. It outlives this process. kFailedPrecondition: it cannot be started.
absl::StatusOr<RunningProcess> StartDaemon(const DaemonProcess& daemon);

// Whether the process ends within `wait`.
bool EndsWithin(const RunningProcess& process, absl::Duration wait);

// How a daemon ended.
enum class StopOutcome { kStopped, kKilled };

// Asks the daemon to end, and kills it once `grace` has passed. kInternal: it did not even then.
absl::StatusOr<StopOutcome> StopDaemon(const DaemonProcess& daemon, const RunningProcess& process,
                                       absl::Duration grace);

// The last lines of what the daemon printed, each after two blanks; at most 10.
std::string LogTail(const DaemonProcess& daemon);

}  // namespace berth::cli
