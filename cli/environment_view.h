#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/watch/watch_client.h"

namespace berth::cli {

// An environment as its watch has told so far.
struct EnvironmentView {
  // Absent while nothing was rolled out.
  std::optional<scheduler::v1::Rollout> rollout;
  // By process type, then id.
  std::vector<scheduler::v1::Instance> instances;

  const scheduler::v1::Instance* Find(const std::string& id) const;
};

// kDataLoss: the watch holds what cannot be read.
absl::StatusOr<EnvironmentView> ViewOf(const WatchClient::Entries& entries);

// How waiting for a rollout can end.
enum class RolloutEnd {
  kSucceeded,
  kFailed,
  // A newer promotion took its place: the return to the old release after a failure, or somebody
  // else's.
  kReplaced,
};

// How the promotion's rollout ended, or nothing while it has not.
std::optional<RolloutEnd> EndOf(const EnvironmentView& view, uint64_t promotion);

// How waiting for a restart can end.
enum class RestartEnd {
  kDone,
  // A new instance failed too often to be started again.
  kFailed,
  // There is no room to start a new instance first.
  kNoRoom,
  // A newer promotion replaces the instances.
  kReplaced,
};

// How the restart ended, or nothing while it has not.
std::optional<RestartEnd> EndOf(const EnvironmentView& view,
                                const scheduler::v1::RestartResponse& restart);

// Whether an instance is meant to serve: not one that makes room for another.
bool IsWanted(const scheduler::v1::Instance& instance);

// How many of the wanted instances are ready, and how many there are.
struct Readiness {
  int ready = 0;
  int total = 0;
};
Readiness ReadinessOf(const EnvironmentView& view);

}  // namespace berth::cli
