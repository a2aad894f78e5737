#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "common/crypto/signature.h"
#include "common/eventlog/event_sourced.h"
#include "common/rpc/access_view.h"
#include "common/rpc/channel.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/importer.h"
#include "common/rpc/state_dispatcher.h"
#include "services/scheduler/execs.h"
#include "services/scheduler/explain.h"
#include "services/scheduler/fleet_numbers.h"
#include "services/scheduler/liveness.h"
#include "services/scheduler/relay.h"
#include "services/scheduler/state.h"

namespace berth::scheduler {

// gRPC glue of berth-scheduler, and the loop that turns what is wanted into commands: it imports
// what config and auth say, reconciles each environment that something happened to, and tells
// config how rollouts end. The rules are State's and Reconcile's.
//
// What is passed in outlives the service, and the executor is stopped before it is destroyed.
class Service {
 public:
  static constexpr absl::Duration kReportRetryDelay = absl::Seconds(1);

  Service(EventLog* log, Executor* executor, const Clock* clock, IdSource* ids,
          rpc::AccessView* access, LivenessPolicy liveness = {});

  // `started` gets OK once calls can be served, or refused because another process leads; others
  // are led to `address`, HOST:PORT, where this one does.
  void Start(std::string address, std::function<void(absl::Status)> started);

  // The other services, over this service's channels as a member, and the key of that member, which
  // signs grants and is read until the executor is stopped.
  struct Platform {
    std::shared_ptr<rpc::Channel> config;
    std::shared_ptr<rpc::Channel> auth;
    std::shared_ptr<rpc::Channel> edge_router;
    std::shared_ptr<rpc::Channel> secrets;
    const SigningKey* grant_key;
  };
  // Begins to follow the others, while this process leads. After Start.
  void Follow(Platform platform);

  rpc::Dispatcher& dispatcher() { return dispatcher_; }

  // For who measures it.
  LogWriter& writer() { return state_.writer(); }

  // `published` gets each event once it is durable, on the executor. Before Start.
  void SetObserver(std::function<void(const v1::Event&)> published) {
    observer_ = std::move(published);
  }

  // `answer` gets what the fleet is now, on the executor. From any thread.
  void CountFleet(std::function<void(absl::StatusOr<FleetNumbers>)> answer);

 private:
  void AddHandlers();
  void ExecuteImport(const Import& import, std::function<void(absl::Status)> done);

  void FollowOthers();
  void Loaded(const State& state);
  void SteppedDown();
  void Published(const State& state, const std::vector<v1::Event>& events);
  void FollowOutput(const v1::InstanceObserved& observed, const State& state);
  void MarkFences(std::function<void(absl::StatusOr<v1::ReportResponse>)> marked);
  v1::HostPresence PresenceOfEdge(const std::string& edge) const;
  void MarkDirty(const std::string& environment);
  void ReconcileDirty();
  void ScheduleWake(const std::string& environment, absl::Time wake);
  void ReportRollouts(const State& state, const std::string& environment);
  void ReportRollout(config::v1::ReportRolloutRequest request);
  void CheckLiveness();
  Heard HeardNow();
  void ScheduleLivenessCheck();

  Executor* const executor_;
  const Clock* const clock_;
  std::function<void(const v1::Event&)> observer_;
  EventSourced<State> state_;
  rpc::StateDispatcher<State> dispatcher_;
  Relay relay_;
  Execs execs_;

  // Somebody who follows the output of whatever instances match.
  struct LogsFollower {
    v1::LogsRequest request;
    std::weak_ptr<LogsConversation> conversation;
  };

  // On the executor only.
  std::vector<LogsFollower> logs_followers_;
  std::optional<Platform> platform_;       // Once it is a member.
  const SigningKey* grant_key_ = nullptr;  // nullptr: not a member yet.
  rpc::Importer importer_;
  std::set<std::string> dirty_;  // Environments to reconcile.
  bool reconcile_posted_ = false;
  std::map<std::string, absl::Time> wakes_;  // The earliest wake asked for, by environment.
  std::set<std::string> reporting_;          // Environments whose rollout is being reported.
  EdgeReports edge_reports_;
  std::map<std::string, absl::Duration> edges_heard_;  // When each reported last.
  const LivenessPolicy liveness_policy_;
  Liveness liveness_;
  absl::Duration liveness_check_at_ = absl::InfiniteDuration();
};

}  // namespace berth::scheduler
