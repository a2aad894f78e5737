#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/config/v1/config.pb.h"
#include "berth/scheduler/v1/events.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "berth/scheduler/v1/snapshot.pb.h"
#include "common/eventlog/event_sourced.h"
#include "common/watch/import.h"

namespace berth::scheduler {

// A member host.
struct Host {
  auth::v1::Machine machine;
  v1::HostFacts facts;  // Empty until its first report.
  v1::HostPresence presence = v1::HOST_PRESENCE_UNSPECIFIED;
  types::v1::Resources promised;  // To every instance placed here, stopping ones too.
  std::set<std::string> instances;
  uint64_t addresses_given = 0;
  std::map<std::string, std::string> labels;
};

// One placed replica.
struct Instance {
  std::string host;
  v1::Assignment assignment;
  types::v1::RecordReference placed;
  v1::InstanceReport observed;
  absl::Time observed_time;  // When `observed` came, and where in the log.
  uint64_t observed_position = 0;
  std::optional<absl::Time> ready_since;
  int failures_in_row = 0;  // Of this process on this placement.
  // Where in the log it became ready and began to drain: edges that have applied as much know it.
  uint64_t ready_position = 0;
  uint64_t draining_position = 0;
  bool serving = false;  // Every edge sends it connections (FENCE_SERVING).
  bool draining = false;
  bool idle = false;  // No edge has a connection to it (FENCE_IDLE).
  absl::Time drain_deadline = absl::InfiniteFuture();
};

// By name.
using SecretVersions = std::map<std::string, uint64_t>;

// What berth-secrets says of an environment.
struct EnvironmentSecrets {
  types::v1::EnvironmentName name;
  SecretVersions active;
};

// The newest rollout of an environment.
struct Rollout {
  uint64_t promotion = 0;
  uint64_t release = 0;
  v1::RolloutCause cause = v1::ROLLOUT_CAUSE_UNSPECIFIED;
  v1::RolloutPhase phase = v1::ROLLOUT_PHASE_UNSPECIFIED;
  std::string reason;
  absl::Time start_time;
  absl::Time deadline = absl::InfiniteFuture();
  v1::InstanceReport failed_instance;
  SecretVersions secret_versions;  // That it brings.
  bool reported = false;           // Config knows how it ended, or has nothing to know.

  // Failed, and goes back by itself; otherwise config takes a failed one back.
  bool IsReturning() const {
    return phase == v1::ROLLOUT_PHASE_FAILED && cause == v1::ROLLOUT_CAUSE_SECRETS;
  }
};

using RoutesByName = std::map<std::string, config::v1::Route>;

// An environment, as config wants it and as it is.
struct Environment {
  config::v1::Environment wanted;
  Rollout rollout;
  // How the newest rollout that failed did, also once the return to the old release is under way.
  std::optional<v1::RolloutFailed> failure;
  uint64_t failed_release = 0;
  std::map<std::string, Instance> instances;
  std::map<std::string, uint64_t> restarts;     // The newest of each process type that had one.
  std::map<std::string, std::string> unplaced;  // Process types that lack something, and why.
  uint64_t routes_promotion = 0;                // The promotion that the edge-router last answered.
  std::map<std::string, std::string> routes_refused;  // By that answer, and why.
  RoutesByName standing_routes;                       // By that answer: no manifest declares them.
  SecretVersions secret_versions;                     // What instances should be given.
  SecretVersions secret_versions_before;              // By the last rollout that succeeded.
};

// The routes that the wanted release declares, and the standing ones.
RoutesByName RoutesTo(const Environment& environment);
// Whether connections are routed to the process type by one of them.
bool IsRouted(const Environment& environment, const std::string& process_type);

// A member edge.
struct Edge {
  auth::v1::Machine machine;
  bool excluded = false;  // By a person: nothing waits for it.
};

// What each edge reported last. Soft state of the leader.
using EdgeReports = std::map<std::string, v1::ReportEdgeRequest>;

// What runs where, as the events so far make it. Pure: see common/eventlog/event_sourced.h. What
// should change is reconcile.h's to say.
class State {
 public:
  using Event = v1::Event;
  using Snapshot = v1::StateSnapshot;

  // Raised where Apply makes another state of old events than the version before did.
  static constexpr uint32_t kStateVersion = 1;

  static constexpr char kStream[] = "scheduler";
  static constexpr char kConfigSource[] = "config";
  static constexpr char kAuthSource[] = "auth";
  static constexpr char kEdgeRouterSource[] = "edge-router";
  static constexpr char kSecretsSource[] = "secrets";
  static constexpr char kEndpointsTopic[] = "endpoints";
  // So many failures in a row stop a replica until a new release or a restart by a person.
  static constexpr int kFailuresMax = 3;
  // A failure after so long of being ready is the first of a new row.
  static constexpr absl::Duration kStableAfter = absl::Minutes(1);
  // How long a command may take from the word of the scheduler to its begin.
  static constexpr size_t kExecCommandBytesMax = size_t{64} << 10;
  static constexpr size_t kLabelsPerHostMax = 20;
  static constexpr size_t kLabelValueSizeMax = 63;
  // Addresses of a /64 below this number are the host's own.
  static constexpr uint64_t kFirstAddress = 0x100;

  // Imports are harmless to repeat: what is so already makes no event.
  Decided<Event, v1::ReportResponse> Decide(const Import& import) const;
  // A host's report. kNotFound: the host is not a member as far as is known here yet.
  Decided<Event, v1::ReportResponse> Decide(const v1::ReportRequest& request,
                                            const std::string& host,
                                            const DecisionContext& context) const;
  // What is believed of a host's presence.
  Decided<Event, v1::ReportResponse> SetPresence(const std::string& host,
                                                 v1::HostPresence presence) const;
  // Config has taken note of how a rollout ended.
  Decided<Event, v1::ReportResponse> MarkReported(const types::v1::EnvironmentName& environment,
                                                  uint64_t promotion) const;

  Decided<Event, v1::RestartResponse> Decide(const v1::RestartRequest& request,
                                             const DecisionContext& context) const;

  // The grant, for the instance that the target stands for.
  Decided<Event, v1::ExecGrant> Decide(const v1::ExecRequest& request,
                                       const DecisionContext& context) const;

  // The fences that the edges' reports show to be reached.
  Decided<Event, v1::ReportResponse> MarkFences(const EdgeReports& reports) const;

  // kNotFound: the org has no such host. kInvalidArgument: not a label; kFailedPrecondition: more
  // than kLabelsPerHostMax.
  Decided<Event, v1::LabelHostResponse> Decide(const v1::LabelHostRequest& request) const;

  // kNotFound: the org has no such edge.
  Decided<Event, v1::ExcludeEdgeResponse> Decide(const v1::ExcludeEdgeRequest& request) const;
  Decided<Event, v1::IncludeEdgeResponse> Decide(const v1::IncludeEdgeRequest& request) const;

  // What moves the times that timers run by, where there are any.
  std::vector<Event> ClockWasSet(absl::Duration by) const;

  void Apply(const Event& event);

  // Of an event that names a host or an edge only.
  std::string OrgOf(const Event& event) const;

  void Touched(const Event& event, std::set<TopicKey>* keys) const;
  std::optional<std::string> View(const TopicKey& key) const;
  TopicEntries Entries(const std::string& topic) const;

  // The whole state, and back (state_snapshot.cpp).
  Snapshot Save() const;
  void Load(const Snapshot& saved);

  const std::map<std::string, Host>& hosts() const { return hosts_; }
  // Whether there is an edge whose acknowledgement is waited for.
  bool WaitsForEdges() const;
  const std::map<std::string, Edge>& edges() const { return edges_; }
  // By ORG/APP/ENV.
  const std::map<std::string, Environment>& environments() const { return environments_; }
  // Of an environment, by its key. What is not set is missing.
  const SecretVersions& ActiveSecrets(const std::string& environment) const;
  // Where another service's watch is to be resumed; nullopt: from a snapshot.
  std::optional<watch::v1::Revision> Cursor(const std::string& source) const;

  // kNotFound: nothing was ever deployed there.
  absl::StatusOr<v1::GetEnvironmentStatusResponse> StatusOf(
      const types::v1::EnvironmentName& name) const;
  v1::ListHostsResponse HostsOf(const std::string& org) const;
  // Without their presence.
  v1::ListEdgesResponse EdgesOf(const std::string& org, const EdgeReports& reports) const;

 private:
  void ImportEnvironments(const Import& import, std::vector<Event>* events) const;
  void ImportRouteStates(const Import& import, std::vector<Event>* events) const;
  void ImportActiveSecrets(const Import& import, std::vector<Event>* events) const;
  void ImportHosts(const Import& import, std::vector<Event>* events) const;
  void ImportEdges(const Import& import, std::vector<Event>* events) const;
  static v1::Instance ToProto(const std::string& id, const Instance& instance);
  static v1::Rollout ToProto(const Environment& environment);
  // nullopt: nothing may be sent to it.
  std::optional<v1::Endpoint> EndpointOf(const Instance& instance) const;
  absl::StatusOr<const Edge*> FindEdge(const std::string& org, const std::string& edge) const;
  void ApplyObserved(const v1::InstanceObserved& event);
  void MoveTimes(absl::Duration by);
  Instance* Find(const types::v1::EnvironmentName& environment, const std::string& instance);
  void Remove(const types::v1::EnvironmentName& environment, const std::string& instance);

  std::map<std::string, Host> hosts_;
  std::map<std::string, Edge> edges_;
  std::map<std::string, Environment> environments_;
  // By ORG/APP/ENV, also of environments that nothing was deployed to; never empty ones.
  std::map<std::string, EnvironmentSecrets> active_secrets_;
  std::map<std::string, watch::v1::Revision> cursors_;
  // From instance ids to their environments' keys, for reports.
  std::map<std::string, std::string> environment_of_;
};

// The topics: what one host should run, how one environment is going.
std::string HostTopic(const std::string& host);
std::string EnvironmentTopic(const types::v1::EnvironmentName& name);

}  // namespace berth::scheduler
