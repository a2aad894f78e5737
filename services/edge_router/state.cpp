#include "services/edge_router/state.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/check/check.h"
#include "common/ids/names.h"

namespace berth::edge_router {
namespace {

constexpr char kRoutePrefix[] = "route/";
constexpr char kSchedulerKey[] = "scheduler";

std::string RouteKey(const std::string& environment, const std::string& route) {
  return absl::StrCat(kRoutePrefix, environment, "/", route);
}

// What a route listens for: PORT/HOSTNAME, or PORT/ for everything that comes to the port.
std::string ListenKey(const config::v1::Route& route) {
  return route.has_tls() ? absl::StrCat(route.tls().port(), "/", route.tls().hostname())
                         : absl::StrCat(route.tcp().port(), "/");
}

std::string Describe(const config::v1::Route& route) {
  return route.has_tls()
             ? absl::StrCat("hostname ", route.tls().hostname(), " on port ", route.tls().port())
             : absl::StrCat("port ", route.tcp().port());
}

bool Same(const google::protobuf::Message& left, const google::protobuf::Message& right) {
  return left.SerializeAsString() == right.SerializeAsString();
}

bool SameRoutes(const std::map<std::string, config::v1::Route>& left,
                const std::map<std::string, config::v1::Route>& right) {
  if (left.size() != right.size()) return false;
  for (const auto& [name, route] : left) {
    const auto other = right.find(name);
    if (other == right.end() || !Same(route, other->second)) return false;
  }
  return true;
}

}  // namespace

Decided<v1::Event, v1::ListRoutesResponse> State::Decide(const Import& import) const {
  Decision<Event, v1::ListRoutesResponse> decision;
  for (const auto& [key, value] : import.changes) {
    if (import.source == kConfigSource) {
      config::v1::Environment environment;
      if (value.has_value() && environment.ParseFromString(*value)) {
        ImportEnvironment(environment, &decision.events);
      }
      continue;
    }
    const auto known = endpoints_.find(key);
    scheduler::v1::Endpoint endpoint;
    if (!value.has_value() || !endpoint.ParseFromString(*value)) continue;
    if (known != endpoints_.end() && Same(known->second, endpoint)) continue;
    *decision.events.emplace_back().mutable_endpoint_changed()->mutable_endpoint() = endpoint;
  }
  if (import.source == kSchedulerSource) {
    for (const auto& [instance, endpoint] : endpoints_) {
      if (!import.SaysGone(instance)) continue;
      *decision.events.emplace_back().mutable_endpoint_removed()->mutable_endpoint() = endpoint;
    }
  }
  // The scheduler waits for edges to show its newest endpoints: a table says how new its own are,
  // also when a change turned out to be none.
  const auto cursor = cursors_.find(import.source);
  const bool moved = import.source == kSchedulerSource && !import.changes.empty() &&
                     (cursor == cursors_.end() || !Same(cursor->second, import.revision));
  if (decision.events.empty() && !moved) return decision;
  v1::SourceAdvanced* advanced = decision.events.emplace_back().mutable_source_advanced();
  advanced->set_source(import.source);
  *advanced->mutable_revision() = import.revision;
  return decision;
}

void State::ImportEnvironment(const config::v1::Environment& environment,
                              std::vector<Event>* events) const {
  const std::string key = ToString(environment.name());
  const auto known = claims_.find(key);
  const auto& asked = environment.desired().manifest().routes();
  if (known == claims_.end() && asked.empty()) return;

  Claims claims;
  for (const auto& [name, route] :
       std::map<std::string, config::v1::Route>(asked.begin(), asked.end())) {
    if (std::optional<std::string> why = WhyRefused(key, route)) {
      claims.refused[name] = *std::move(why);
    } else {
      claims.routes[name] = route;
    }
  }
  // Until the new release has taken over, what serves now keeps what it has.
  if (environment.rollout() == config::v1::ROLLOUT_STATE_RUNNING && known != claims_.end()) {
    for (const auto& [name, route] : known->second.routes) claims.routes[name] = route;
  }
  if (known != claims_.end() && known->second.promotion == environment.promotion() &&
      known->second.refused == claims.refused && SameRoutes(known->second.routes, claims.routes)) {
    return;
  }
  v1::RoutesClaimed* claimed = events->emplace_back().mutable_routes_claimed();
  *claimed->mutable_environment() = environment.name();
  claimed->set_promotion(environment.promotion());
  claimed->mutable_routes()->insert(claims.routes.begin(), claims.routes.end());
  claimed->mutable_refused()->insert(claims.refused.begin(), claims.refused.end());
  if (known == claims_.end()) return;
  for (const auto& [name, route] : known->second.routes) {
    if (!claims.routes.contains(name)) claimed->add_released(name);
  }
}

std::optional<std::string> State::WhyRefused(const std::string& environment,
                                             const config::v1::Route& route) const {
  const std::string listen = ListenKey(route);
  const auto owner = owners_.find(listen);
  if (owner != owners_.end() && owner->second != environment) {
    return absl::StrCat(Describe(route), " belongs to ", owner->second);
  }
  // A raw port takes everything that comes to it, so it cannot be shared with another's hostnames.
  const std::string port = listen.substr(0, listen.find('/') + 1);
  for (auto other = owners_.lower_bound(port);
       other != owners_.end() && absl::StartsWith(other->first, port); ++other) {
    if (other->second == environment) continue;
    if (route.has_tcp() || other->first == port) {
      return absl::StrCat("port ", port.substr(0, port.size() - 1), " is used by ", other->second);
    }
  }
  return std::nullopt;
}

void State::Apply(const Event& event) {
  switch (event.event_case()) {
    case Event::kSourceAdvanced:
      cursors_[event.source_advanced().source()] = event.source_advanced().revision();
      return;
    case Event::kRoutesClaimed: {
      const v1::RoutesClaimed& claimed = event.routes_claimed();
      const std::string key = ToString(claimed.environment());
      Claims& claims = claims_[key];
      for (const auto& [name, route] : claims.routes) owners_.erase(ListenKey(route));
      claims.name = claimed.environment();
      claims.promotion = claimed.promotion();
      claims.routes = {claimed.routes().begin(), claimed.routes().end()};
      claims.refused = {claimed.refused().begin(), claimed.refused().end()};
      for (const auto& [name, route] : claims.routes) owners_[ListenKey(route)] = key;
      return;
    }
    case Event::kEndpointChanged:
      endpoints_[event.endpoint_changed().endpoint().instance()] =
          event.endpoint_changed().endpoint();
      return;
    case Event::kEndpointRemoved:
      endpoints_.erase(event.endpoint_removed().endpoint().instance());
      return;
    case Event::EVENT_NOT_SET:
      break;
  }
  BERTH_CHECK_MESSAGE(false, "an event without content");
}

void State::TouchRoutesTo(const scheduler::v1::Endpoint& endpoint, std::set<TopicKey>* keys) const {
  const std::string key = ToString(endpoint.environment());
  const auto claims = claims_.find(key);
  if (claims == claims_.end()) return;
  for (const auto& [name, route] : claims->second.routes) {
    if (route.to().process() == endpoint.process_type()) {
      keys->insert({kTableTopic, RouteKey(key, name)});
    }
  }
}

void State::Touched(const Event& event, std::set<TopicKey>* keys) const {
  switch (event.event_case()) {
    case Event::kSourceAdvanced:
      if (event.source_advanced().source() == kSchedulerSource) {
        keys->insert({kTableTopic, kSchedulerKey});
      }
      return;
    case Event::kRoutesClaimed: {
      const std::string key = ToString(event.routes_claimed().environment());
      keys->insert({kRouteStatesTopic, key});
      for (const auto& [name, route] : event.routes_claimed().routes()) {
        keys->insert({kTableTopic, RouteKey(key, name)});
      }
      for (const std::string& name : event.routes_claimed().released()) {
        keys->insert({kTableTopic, RouteKey(key, name)});
      }
      return;
    }
    case Event::kEndpointChanged:
      return TouchRoutesTo(event.endpoint_changed().endpoint(), keys);
    case Event::kEndpointRemoved:
      return TouchRoutesTo(event.endpoint_removed().endpoint(), keys);
    case Event::EVENT_NOT_SET:
      return;
  }
}

std::optional<std::string> State::View(const TopicKey& key) const {
  absl::string_view rest = key.second;
  if (key.first == kRouteStatesTopic) {
    const auto claims = claims_.find(key.second);
    if (claims == claims_.end()) return std::nullopt;
    v1::EnvironmentRoutes routes;
    *routes.mutable_environment() = claims->second.name;
    routes.set_promotion(claims->second.promotion);
    routes.mutable_refused()->insert(claims->second.refused.begin(), claims->second.refused.end());
    return routes.SerializeAsString();
  }
  if (key.first != kTableTopic) return std::nullopt;
  if (key.second == kSchedulerKey) {
    const auto cursor = cursors_.find(kSchedulerSource);
    if (cursor == cursors_.end()) return std::nullopt;
    return cursor->second.SerializeAsString();
  }
  if (!absl::ConsumePrefix(&rest, kRoutePrefix)) return std::nullopt;
  const size_t slash = rest.rfind('/');
  if (slash == absl::string_view::npos) return std::nullopt;
  const auto claims = claims_.find(std::string(rest.substr(0, slash)));
  if (claims == claims_.end()) return std::nullopt;
  const auto route = claims->second.routes.find(std::string(rest.substr(slash + 1)));
  if (route == claims->second.routes.end()) return std::nullopt;
  v1::TableRoute shown;
  *shown.mutable_route() = route->second;
  for (v1::Upstream& upstream : UpstreamsOf(claims->second, route->second)) {
    *shown.add_upstreams() = std::move(upstream);
  }
  return shown.SerializeAsString();
}

TopicEntries State::Entries(const std::string& topic) const {
  TopicEntries entries;
  auto add = [&](const std::string& key) {
    if (std::optional<std::string> value = View({topic, key})) {
      entries.emplace_back(key, *std::move(value));
    }
  };
  for (const auto& [key, claims] : claims_) {
    if (topic == kRouteStatesTopic) {
      add(key);
    } else if (topic == kTableTopic) {
      for (const auto& [name, route] : claims.routes) add(RouteKey(key, name));
    }
  }
  if (topic == kTableTopic) add(kSchedulerKey);
  return entries;
}

std::vector<v1::Upstream> State::UpstreamsOf(const Claims& claims,
                                             const config::v1::Route& route) const {
  std::vector<v1::Upstream> upstreams;
  for (const auto& [instance, endpoint] : endpoints_) {
    if (!Same(endpoint.environment(), claims.name) ||
        endpoint.process_type() != route.to().process()) {
      continue;
    }
    const auto port = endpoint.ports().find(route.to().port());
    if (port == endpoint.ports().end()) continue;
    v1::Upstream& upstream = upstreams.emplace_back();
    upstream.set_instance(instance);
    upstream.set_address(endpoint.address());
    upstream.set_port(port->second);
    upstream.set_draining(endpoint.draining());
  }
  return upstreams;
}

v1::ListRoutesResponse State::RoutesOf(const std::string& org) const {
  v1::ListRoutesResponse response;
  for (const auto& [key, claims] : claims_) {
    if (claims.name.org() != org) continue;
    for (const auto& [name, route] : claims.routes) {
      v1::RouteInfo* info = response.add_routes();
      *info->mutable_environment() = claims.name;
      info->set_name(name);
      *info->mutable_route() = route;
      for (v1::Upstream& upstream : UpstreamsOf(claims, route)) {
        *info->add_upstreams() = std::move(upstream);
      }
    }
    for (const auto& [name, why] : claims.refused) {
      v1::RouteInfo* info = response.add_routes();
      *info->mutable_environment() = claims.name;
      info->set_name(name);
      info->set_refused(why);
    }
  }
  return response;
}

}  // namespace berth::edge_router
