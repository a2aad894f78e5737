#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "berth/config/v1/config.pb.h"
#include "berth/config/v1/events.pb.h"
#include "berth/config/v1/snapshot.pb.h"
#include "common/eventlog/event_sourced.h"

namespace berth::config {

// Apps, environments and their releases, as the events so far make them. Pure: see
// common/eventlog/event_sourced.h.
class State {
 public:
  using Event = v1::Event;
  using Snapshot = v1::StateSnapshot;

  // Raised where Apply makes another state of old events than the version before did.
  static constexpr uint32_t kStateVersion = 1;

  static constexpr char kStream[] = "config";
  static constexpr char kEnvironmentsTopic[] = "environments";
  static constexpr char kDefaultEnvironment[] = "production";
  static constexpr uint32_t kReplicasDefault = 1;
  static constexpr uint32_t kReplicasMax = 1000;

  // `manifest` is the request's, parsed: a wrong one is refused before this.
  Decided<Event, v1::DeployResponse> Decide(const v1::DeployRequest& request,
                                            const v1::Manifest& manifest,
                                            const DecisionContext& context) const;
  Decided<Event, v1::RollbackResponse> Decide(const v1::RollbackRequest& request,
                                              const DecisionContext& context) const;
  Decided<Event, v1::ScaleResponse> Decide(const v1::ScaleRequest& request,
                                           const DecisionContext& context) const;
  Decided<Event, v1::DeleteEnvironmentResponse> Decide(const v1::DeleteEnvironmentRequest& request,
                                                       const DecisionContext& context) const;
  Decided<Event, v1::ReportRolloutResponse> Decide(const v1::ReportRolloutRequest& request,
                                                   const DecisionContext& context) const;

  void Apply(const Event& event);

  void Touched(const Event& event, std::set<TopicKey>* keys) const;
  std::optional<std::string> View(const TopicKey& key) const;
  TopicEntries Entries(const std::string& topic) const;

  // The whole state, and back (state_snapshot.cpp).
  Snapshot Save() const;
  void Load(const Snapshot& saved);

  // kNotFound says which of org, app and environment is not there.
  absl::StatusOr<v1::Environment> FindEnvironment(const types::v1::EnvironmentName& name) const;
  std::vector<v1::Environment> EnvironmentsOf(const std::string& org) const;
  absl::StatusOr<std::vector<v1::Release>> ReleasesOf(const types::v1::EnvironmentName& name) const;

 private:
  struct Environment {
    types::v1::EnvironmentName name;
    std::map<uint64_t, v1::Release> releases;
    uint64_t desired = 0;  // A release's number; 0: nothing should run.
    uint64_t current = 0;
    uint64_t previous = 0;  // Current before the current one.
    uint64_t promotion = 0;
    v1::RolloutState rollout = v1::ROLLOUT_STATE_UNSPECIFIED;
    std::string rollout_reason;
    types::v1::RecordReference promoted;  // By the newest command that did.
    bool deleted = false;

    // Deleted, and everything is taken away. Its entry stays, so that numbers are used once only.
    bool IsGone() const { return deleted && rollout == v1::ROLLOUT_STATE_SUCCEEDED; }
  };

  static v1::Environment ToProto(const Environment& environment);
  // Not those that are gone.
  absl::StatusOr<const Environment*> Find(const types::v1::EnvironmentName& name) const;

  std::map<std::string, Environment> environments_;  // By ORG/APP/ENV.
};

}  // namespace berth::config
