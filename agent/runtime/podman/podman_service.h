#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/sync/mutex.h"

namespace berth {

// The longest a service may take from its start to its first answer, and to its end.
inline constexpr absl::Duration kPodmanStartMax = absl::Seconds(30);
inline constexpr absl::Duration kPodmanStopMax = absl::Seconds(10);

struct PodmanServiceSettings {
  // Where Podman listens or is made to. The folder is made where it is missing.
  std::string socket_path = "/run/berth/podman.sock";
  std::string program = "podman";
  // Podman's global arguments, such as --root, before `system service`.
  std::vector<std::string> arguments;
  // The service's CONTAINERS_CONF, read instead of the machine's own containers.conf files; empty:
  // those.
  std::string containers_conf;
  // Holds podman.pid, podman.log and a lock. Made where it is missing.
  std::string state_folder = "/run/berth";
};

// Podman's REST service, started where there is none.
//
// The listening socket is made here and handed to Podman as systemd does. So it can be connected to
// before Podman has come up, and nobody has to ask again and again whether it has. The service is
// in a session of its own and outlives this process; it dies without harm to what it started.
//
// Safe to use from any thread, also of several processes.
class PodmanService {
 public:
  explicit PodmanService(PodmanServiceSettings settings) : settings_(std::move(settings)) {}

  // OK when Podman answers on the socket, whoever started it. kFailedPrecondition: Podman is not
  // installed, or ended at once; the message has its last words. kUnavailable: it does not answer.
  absl::Status EnsureRunning();

  // Ends the service that an EnsureRunning with these settings started, if there is one.
  absl::Status Stop();

 private:
  absl::Status Ping(absl::Duration timeout) const;
  absl::Status StartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<pid_t> RunningPid() const;
  std::string PidFile() const { return settings_.state_folder + "/podman.pid"; }
  std::string LogFile() const { return settings_.state_folder + "/podman.log"; }

  const PodmanServiceSettings settings_;
  Mutex mutex_;
};

}  // namespace berth
