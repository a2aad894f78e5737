#pragma once

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/daemon_process.h"
#include "cli/errors.h"
#include "common/clock/system_clock.h"

namespace berth::cli {

// How often a daemon that only just starts is asked whether it is ready.
inline constexpr absl::Duration kAskDaemonEvery = absl::Milliseconds(50);

// Asks `ready` again and again until it is OK, the daemon ends, or the time is over. Errors other
// than kUnavailable, kNotFound and kDeadlineExceeded end it, too. kFailedPrecondition: the daemon
// ended, and the message has what it printed last.
template <typename Ready>
absl::Status AwaitDaemon(const DaemonProcess& daemon, const RunningProcess& process,
                         absl::Duration timeout, Ready ready) {
  const SystemClock clock;
  const absl::Duration deadline = clock.Monotonic() + timeout;
  while (true) {
    const absl::Status status = ready();
    if (!absl::IsUnavailable(status) && !absl::IsNotFound(status) &&
        !absl::IsDeadlineExceeded(status)) {
      return status;
    }
    if (EndsWithin(process, kAskDaemonEvery)) {
      return WithAction(
          absl::FailedPreconditionError(absl::StrCat(
              daemon.arguments.front(), " ended; it printed last:\n", LogTail(daemon))),
          absl::StrCat("mend what it says and run the command again; all of it is in ",
                       daemon.log_file));
    }
    if (clock.Monotonic() > deadline) {
      return WithAction(
          absl::DeadlineExceededError(
              absl::StrCat(daemon.arguments.front(), " runs but is not ready: ", status.message())),
          absl::StrCat("see ", daemon.log_file));
    }
  }
}

}  // namespace berth::cli
