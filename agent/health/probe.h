#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

// Passes when the port accepts a connection.
struct TcpCheck {
  uint16_t port = 0;
};

// Passes when the answer to GET has one of the statuses; any of 200 to 399 if none is named.
// Redirects are not followed.
struct HttpCheck {
  uint16_t port = 0;
  std::string path = "/";
  std::vector<int> statuses = {};
};

// Passes when the command, run inside the instance, exits with 0.
struct ExecCheck {
  std::vector<std::string> command;
};

using Check = std::variant<TcpCheck, HttpCheck, ExecCheck>;

struct ProbePolicy {
  absl::Duration interval = absl::Seconds(5);  // From the end of a check to the next one.
  absl::Duration timeout = absl::Seconds(2);   // Of one check; a check that takes longer failed.
  // While starting, checks come this close, if `interval` is not shorter anyway, so that nobody
  // waits for what is ready.
  absl::Duration start_interval = absl::Milliseconds(250);
  // How long the instance may take to become ready for the first time.
  absl::Duration start_max = absl::Minutes(5);
  int successes_needed = 1;  // In a row, to be ready.
  int failures_needed = 3;   // In a row, to be no longer ready.
};

struct CheckResult {
  bool passed = false;
  // Why not, for people: "connect to [fd00::2]:8080: connection refused".
  std::string detail = "";
};

enum class Health {
  kStarting,  // Has not been ready yet, and may still take its time.
  kReady,
  kUnready,  // Was ready, or should have become so within start_max.
};

absl::string_view HealthName(Health health);

// What a series of check results means for one instance. Pure: time comes in as an argument, from
// Clock::Monotonic. The owner runs a check when one is due and records what came of it; at most one
// check runs at a time.
class Probe {
 public:
  Probe(const ProbePolicy& policy, absl::Duration now)
      : policy_(policy), started_at_(now), next_check_at_(now) {}

  // When to begin the next check; nullopt while one runs.
  std::optional<absl::Duration> NextCheckAt() const;

  // A check begins now. It is due (NextCheckAt() <= now) and none runs.
  void BeginCheck();

  // What came of the check that was begun.
  void RecordCheck(const CheckResult& result, absl::Duration now);

  // Lets start_max pass also while no result comes.
  void AdvanceTo(absl::Duration now);

  Health health() const { return health_; }

  // Why the instance is not ready: what the last failed check said. Empty while ready.
  const std::string& detail() const { return detail_; }

 private:
  void RecordSuccess();
  void RecordFailure(const std::string& detail);

  ProbePolicy policy_;
  absl::Duration started_at_;
  absl::Duration next_check_at_;
  bool checking_ = false;
  int successes_in_row_ = 0;
  int failures_in_row_ = 0;
  Health health_ = Health::kStarting;
  std::string detail_;
};

}  // namespace berth
