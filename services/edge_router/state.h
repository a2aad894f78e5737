#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "berth/config/v1/config.pb.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/edge_router/v1/events.pb.h"
#include "berth/edge_router/v1/snapshot.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/eventlog/event_sourced.h"
#include "common/watch/import.h"

namespace berth::edge_router {

// Who owns which hostname and port, and where connections go, as the events so far make it. Pure:
// see common/eventlog/event_sourced.h.
//
// A hostname on a port, and a raw port, belong to one environment at a time: the first whose
// release or standing route asks for it. A manifest's route goes when a release of its environment
// no longer asks for it; while a rollout runs, the routes of the release that serves stay beside
// the new ones: nothing is taken from it before it is replaced. A standing route, which a person
// made, goes when a person deletes it, or with its environment; no release touches it, and the two
// kinds share one set of names.
class State {
 public:
  using Event = v1::Event;
  using Snapshot = v1::StateSnapshot;

  // Raised where Apply makes another state of old events than the version before did.
  static constexpr uint32_t kStateVersion = 1;

  // Of one environment; as many as a manifest may declare.
  static constexpr size_t kStandingRoutesMax = 100;

  static constexpr char kStream[] = "edge-router";
  static constexpr char kConfigSource[] = "config";
  static constexpr char kSchedulerSource[] = "scheduler";
  static constexpr char kTableTopic[] = "table";
  static constexpr char kRouteStatesTopic[] = "route-states";

  // Imports are harmless to repeat: what is so already makes no event.
  Decided<Event, v1::ListRoutesResponse> Decide(const Import& import,
                                                const DecisionContext& context) const;
  Decided<Event, v1::CreateRouteResponse> Decide(const v1::CreateRouteRequest& request,
                                                 const DecisionContext& context) const;
  Decided<Event, v1::DeleteRouteResponse> Decide(const v1::DeleteRouteRequest& request,
                                                 const DecisionContext& context) const;

  void Apply(const Event& event);

  void Touched(const Event& event, std::set<TopicKey>* keys) const;
  std::optional<std::string> View(const TopicKey& key) const;
  TopicEntries Entries(const std::string& topic) const;

  // The whole state, and back (state_snapshot.cpp).
  Snapshot Save() const;
  void Load(const Snapshot& saved);

  v1::ListRoutesResponse RoutesOf(const std::string& org) const;

 private:
  struct ClaimedRoute {
    config::v1::Route route;
    types::v1::RecordReference record;  // That made it so.
    bool standing = false;
  };
  struct Claims {
    types::v1::EnvironmentName name;
    uint64_t promotion = 0;
    std::map<std::string, ClaimedRoute> routes;
    std::map<std::string, std::string> refused;
    std::vector<config::v1::RouteTarget> targets;  // Of the desired release, in order.
  };

  // What a route listens for: PORT/HOSTNAME, or PORT/ for everything that comes to the port.
  static std::string ListenKey(const config::v1::Route& route);
  void ImportEnvironment(const config::v1::Environment& environment, const DecisionContext& context,
                         std::vector<Event>* events) const;
  // Why the environment may not have the route; nullopt: it may, as far as its own are concerned.
  std::optional<std::string> WhyRefused(const std::string& environment,
                                        const config::v1::Route& route) const;
  // Why the manifest may not have the route beside the environment's standing ones.
  static std::optional<std::string> WhyStandsInTheWay(const Claims& claims, const std::string& name,
                                                      const config::v1::Route& route);
  // Why the environment may not have another standing route; OK: it may.
  absl::Status CheckNewRoute(const Claims& claims, const v1::CreateRouteRequest& request) const;
  std::vector<v1::Upstream> UpstreamsOf(const Claims& claims, const config::v1::Route& route) const;
  void TouchRoutesTo(const scheduler::v1::Endpoint& endpoint, std::set<TopicKey>* keys) const;

  std::map<std::string, Claims> claims_;  // By ORG/APP/ENV.
  // By what is listened for, PORT/HOSTNAME or PORT/ for a raw port: the environment that has it.
  std::map<std::string, std::string> owners_;
  std::map<std::string, scheduler::v1::Endpoint> endpoints_;  // By instance.
  std::map<std::string, watch::v1::Revision> cursors_;
};

}  // namespace berth::edge_router
