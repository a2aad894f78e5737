#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "services/scheduler/state.h"

namespace berth::scheduler {

// What has to be so, from the command to the end, in this order. Programs compare these: they never
// change their meaning. Those about routes and edges are left out where nothing is routed.
namespace predicate {
inline constexpr char kEnvironmentKnown[] = "environment-known";
inline constexpr char kReleasePromoted[] = "release-promoted";
inline constexpr char kSecretsExist[] = "secrets-exist";
inline constexpr char kRoutesAccepted[] = "routes-accepted";
inline constexpr char kHostPresent[] = "host-present";    // None that is needed is lost.
inline constexpr char kAgentReports[] = "agent-reports";  // None that is needed is silent.
inline constexpr char kHostFits[] = "host-fits";
inline constexpr char kImagePresent[] = "image-present";
inline constexpr char kAgentApplied[] = "agent-applied";
inline constexpr char kInstanceStarted[] = "instance-started";
inline constexpr char kProbePasses[] = "probe-passes";
inline constexpr char kReadyLongEnough[] = "ready-long-enough";
inline constexpr char kEdgeReports[] = "edge-reports";
inline constexpr char kEdgeListens[] = "edge-listens";
inline constexpr char kEdgeApplied[] = "edge-applied";
inline constexpr char kEndpointReached[] = "endpoint-reached";
inline constexpr char kOldDrained[] = "old-drained";
inline constexpr char kRolloutDone[] = "rollout-done";
}  // namespace predicate

// What the leader has heard beside what is in its log.
struct Heard {
  EdgeReports edges;
  std::map<std::string, absl::Duration> edge_silence;  // Since each edge's last report.
  std::map<std::string, absl::Duration> host_silence;  // The same of hosts.
  std::set<std::string> connected;                     // Hosts whose agents keep a stream open.
  absl::Duration silence_max;                          // What an edge may be silent for.
};

// The chain from the command to the first predicate that does not hold. After a rollout that failed
// it is the one that failed it, unless what serves now has a trouble of its own. `target` is a
// process type or an instance; empty: everything. kNotFound: there is no such target. Pure.
absl::StatusOr<v1::WhyResponse> Explain(const State& state, const Environment& environment,
                                        const std::string& target, const Heard& heard,
                                        absl::Time now);

// What does not hold, for a rollout that fails: as far as the log alone tells, at its deadline;
// because no host can take a process; because a route is refused; because an instance failed.
v1::Predicate FirstFalse(const State& state, const Environment& environment, absl::Time now);
v1::Predicate NoRoom(const State& state, const Environment& environment,
                     const std::string& process_type);
v1::Predicate RouteRefused(const Environment& environment);
v1::Predicate InstanceFailed(const std::string& id, const Instance& instance);

}  // namespace berth::scheduler
