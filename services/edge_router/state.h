#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "berth/config/v1/config.pb.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/edge_router/v1/events.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/eventlog/event_sourced.h"
#include "common/watch/import.h"

namespace berth::edge_router {

// Who owns which hostname and port, and where connections go, as the events so far make it. Pure:
// see common/eventlog/event_sourced.h.
//
// A hostname on a port, and a raw port, belong to one environment at a time: the first whose
// release asks for it keeps it until a release of it no longer does. While a rollout runs, the
// routes of the release that serves stay beside the new ones: nothing is taken from it before it is
// replaced.
class State {
 public:
  using Event = v1::Event;

  static constexpr char kConfigSource[] = "config";
  static constexpr char kSchedulerSource[] = "scheduler";
  static constexpr char kTableTopic[] = "table";
  static constexpr char kRouteStatesTopic[] = "route-states";

  // Imports are harmless to repeat: what is so already makes no event.
  Decided<Event, v1::ListRoutesResponse> Decide(const Import& import) const;

  void Apply(const Event& event);

  void Touched(const Event& event, std::set<TopicKey>* keys) const;
  std::optional<std::string> View(const TopicKey& key) const;
  TopicEntries Entries(const std::string& topic) const;

  v1::ListRoutesResponse RoutesOf(const std::string& org) const;

 private:
  struct Claims {
    types::v1::EnvironmentName name;
    uint64_t promotion = 0;
    std::map<std::string, config::v1::Route> routes;
    std::map<std::string, std::string> refused;
  };

  void ImportEnvironment(const config::v1::Environment& environment,
                         std::vector<Event>* events) const;
  // Why the environment may not have the route; nullopt: it may.
  std::optional<std::string> WhyRefused(const std::string& environment,
                                        const config::v1::Route& route) const;
  std::vector<v1::Upstream> UpstreamsOf(const Claims& claims, const config::v1::Route& route) const;
  void TouchRoutesTo(const scheduler::v1::Endpoint& endpoint, std::set<TopicKey>* keys) const;

  std::map<std::string, Claims> claims_;  // By ORG/APP/ENV.
  // By what is listened for, PORT/HOSTNAME or PORT/ for a raw port: the environment that has it.
  std::map<std::string, std::string> owners_;
  std::map<std::string, scheduler::v1::Endpoint> endpoints_;  // By instance.
  std::map<std::string, watch::v1::Revision> cursors_;
};

}  // namespace berth::edge_router
