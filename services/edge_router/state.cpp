#include "services/edge_router/state.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/check/check.h"
#include "common/ids/names.h"
#include "common/manifest/route.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth::edge_router {
namespace {

constexpr char kRoutePrefix[] = "route/";
constexpr char kSchedulerKey[] = "scheduler";

std::string RouteKey(const std::string& environment, const std::string& route) {
  return absl::StrCat(kRoutePrefix, environment, "/", route);
}

std::string Describe(const config::v1::Route& route) {
  return route.has_tls()
             ? absl::StrCat("hostname ", route.tls().hostname(), " on port ", route.tls().port())
             : absl::StrCat("port ", route.tcp().port());
}

bool Same(const google::protobuf::Message& left, const google::protobuf::Message& right) {
  return left.SerializeAsString() == right.SerializeAsString();
}

// In the order of its names: the same routes are the same bytes.
std::string Serialise(const v1::EnvironmentRoutes& routes) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    BERTH_CHECK(routes.SerializeToCodedStream(&coded));
  }
  return bytes;
}

// What routes may lead to, by process and port.
std::vector<config::v1::RouteTarget> TargetsOf(const config::v1::Manifest& manifest) {
  std::map<std::string, config::v1::RouteTarget> targets;
  for (const auto& [process, declared] : manifest.processes()) {
    for (const auto& [port, number] : declared.ports()) {
      config::v1::RouteTarget target;
      target.set_process(process);
      target.set_port(port);
      targets[ToString(target)] = target;
    }
  }
  std::vector<config::v1::RouteTarget> ordered;
  for (const auto& [text, target] : targets) ordered.push_back(target);
  return ordered;
}

bool SameTargets(const std::vector<config::v1::RouteTarget>& left,
                 const std::vector<config::v1::RouteTarget>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), Same);
}

types::v1::RecordReference OwnRecord(const DecisionContext& context) {
  types::v1::RecordReference record;
  record.set_stream(State::kStream);
  record.set_position(context.position);
  record.set_actor(context.principal);
  *record.mutable_time() = ToTimestamp(context.now);
  return record;
}

// With the words that name the environment again.
std::string DeleteCommand(const types::v1::EnvironmentName& environment, const std::string& route) {
  return absl::StrCat("berth route delete ", route, " --app ", environment.app(), " --env ",
                      environment.env());
}

}  // namespace

Decided<v1::Event, v1::ListRoutesResponse> State::Decide(const Import& import,
                                                         const DecisionContext& context) const {
  Decision<Event, v1::ListRoutesResponse> decision;
  // Where several environments come at once, each is left what those before it did not claim.
  std::optional<State> after;
  for (const auto& [key, value] : import.changes) {
    if (import.source == kConfigSource) {
      config::v1::Environment environment;
      if (!value.has_value() || !environment.ParseFromString(*value)) continue;
      const size_t decided = decision.events.size();
      (after.has_value() ? *after : *this)
          .ImportEnvironment(environment, context, &decision.events);
      if (import.changes.size() == 1 || decision.events.size() == decided) continue;
      if (!after.has_value()) after = *this;
      for (size_t i = decided; i < decision.events.size(); ++i) after->Apply(decision.events[i]);
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
                              const DecisionContext& context, std::vector<Event>* events) const {
  static const Claims kNothing;
  const std::string key = ToString(environment.name());
  const auto found = claims_.find(key);
  const Claims& known = found == claims_.end() ? kNothing : found->second;
  const bool running = environment.rollout() == config::v1::ROLLOUT_STATE_RUNNING;

  const auto& asked = environment.desired().manifest().routes();
  std::map<std::string, config::v1::Route> routes;
  std::map<std::string, std::string> refused;
  for (const auto& [name, route] : asked) {
    std::optional<std::string> why = WhyStandsInTheWay(known, name, route);
    if (!why.has_value()) why = WhyRefused(key, route);
    if (why.has_value()) {
      refused[name] = *std::move(why);
    } else {
      routes[name] = route;
    }
  }
  bool same = found != claims_.end() && known.promotion == environment.promotion() &&
              known.refused == refused;
  v1::RoutesClaimed claimed;
  for (const auto& [name, before] : known.routes) {
    if (before.standing) continue;
    // Until the new release has taken over, what serves now keeps what it has.
    if (running) routes[name] = before.route;
    if (!routes.contains(name)) claimed.add_released(name);
  }
  for (const auto& [name, route] : routes) {
    const auto before = known.routes.find(name);
    same = same && before != known.routes.end() && Same(before->second.route, route);
  }
  const std::vector<config::v1::RouteTarget> targets = TargetsOf(environment.desired().manifest());
  if (!same || claimed.released_size() > 0 || !SameTargets(known.targets, targets)) {
    *claimed.mutable_environment() = environment.name();
    claimed.set_promotion(environment.promotion());
    claimed.mutable_routes()->insert(routes.begin(), routes.end());
    claimed.mutable_refused()->insert(refused.begin(), refused.end());
    *claimed.mutable_targets() = {targets.begin(), targets.end()};
    *claimed.mutable_record() = OwnRecord(context);
    *events->emplace_back().mutable_routes_claimed() = std::move(claimed);
  }
  if (!environment.deleted() || running) return;
  for (const auto& [name, route] : known.routes) {
    if (!route.standing) continue;
    v1::RouteDeleted* deleted = events->emplace_back().mutable_route_deleted();
    *deleted->mutable_environment() = environment.name();
    deleted->set_name(name);
  }
}

std::optional<std::string> State::WhyStandsInTheWay(const Claims& claims, const std::string& name,
                                                    const config::v1::Route& route) {
  for (const auto& [other, claimed] : claims.routes) {
    if (!claimed.standing) continue;
    if (other != name && !ListenAlike(claimed.route, route)) continue;
    return absl::StrCat(
        other == name ? "its name" : Describe(route), " belongs to the standing route ", other,
        "; for the manifest to have it, delete that: ", DeleteCommand(claims.name, other));
  }
  return std::nullopt;
}

absl::Status State::CheckNewRoute(const Claims& claims,
                                  const v1::CreateRouteRequest& request) const {
  const std::string environment = ToString(request.environment());
  const bool leads_somewhere =
      std::any_of(claims.targets.begin(), claims.targets.end(),
                  [&](const auto& target) { return Same(target, request.route().to()); });
  if (!leads_somewhere) {
    return absl::NotFoundError(absl::StrCat("what is deployed to ", environment, " has no port ",
                                            ToString(request.route().to())));
  }
  size_t standing = 0;
  for (const auto& [name, other] : claims.routes) {
    standing += other.standing ? 1 : 0;
    if (name == request.name()) {
      return absl::AlreadyExistsError(absl::StrCat(
          environment, " has another route ", name,
          other.standing ? absl::StrCat("; delete it first: ", DeleteCommand(claims.name, name))
                         : ", which its manifest declares"));
    }
    if (ListenAlike(other.route, request.route())) {
      return absl::AlreadyExistsError(
          absl::StrCat(Describe(request.route()), " belongs to route ", name, " of ", environment));
    }
  }
  if (standing >= kStandingRoutesMax) {
    return absl::ResourceExhaustedError(absl::StrCat(
        environment, " has ", standing, " standing routes, which is as many as there may be"));
  }
  if (std::optional<std::string> why = WhyRefused(environment, request.route())) {
    return absl::AlreadyExistsError(*why);
  }
  return absl::OkStatus();
}

Decided<v1::Event, v1::CreateRouteResponse> State::Decide(const v1::CreateRouteRequest& request,
                                                          const DecisionContext& context) const {
  BERTH_RETURN_IF_ERROR(CheckName("route", request.name()));
  BERTH_RETURN_IF_ERROR(CheckRoute(request.route()));
  const auto claims = claims_.find(ToString(request.environment()));
  if (claims == claims_.end()) {
    return absl::NotFoundError(absl::StrCat(
        "nothing was deployed to ", ToString(request.environment()), "; see: berth env list"));
  }
  Decision<Event, v1::CreateRouteResponse> decision;
  const auto known = claims->second.routes.find(request.name());
  if (known != claims->second.routes.end() && known->second.standing &&
      Same(known->second.route, request.route())) {
    decision.response.set_unchanged(true);
    decision.response.set_position(known->second.record.position());
    return decision;
  }
  BERTH_RETURN_IF_ERROR(CheckNewRoute(claims->second, request));
  decision.response.set_position(context.position);
  v1::RouteCreated* created = decision.events.emplace_back().mutable_route_created();
  *created->mutable_environment() = request.environment();
  created->set_name(request.name());
  *created->mutable_route() = request.route();
  *created->mutable_record() = OwnRecord(context);
  return decision;
}

Decided<v1::Event, v1::DeleteRouteResponse> State::Decide(const v1::DeleteRouteRequest& request,
                                                          const DecisionContext& context) const {
  const std::string environment = ToString(request.environment());
  const auto claims = claims_.find(environment);
  const bool has = claims != claims_.end() && claims->second.routes.contains(request.name());
  if (!has) {
    return absl::NotFoundError(
        absl::StrCat(environment, " has no route ", request.name(), "; see: berth route list"));
  }
  if (!claims->second.routes.at(request.name()).standing) {
    return absl::FailedPreconditionError(absl::StrCat("the manifest of ", environment,
                                                      " declares the route ", request.name(),
                                                      "; take it out of berth.yaml and deploy"));
  }
  Decision<Event, v1::DeleteRouteResponse> decision;
  decision.response.set_position(context.position);
  v1::RouteDeleted* deleted = decision.events.emplace_back().mutable_route_deleted();
  *deleted->mutable_environment() = request.environment();
  deleted->set_name(request.name());
  return decision;
}

std::string State::ListenKey(const config::v1::Route& route) {
  return absl::StrCat(PortOf(route), "/", route.tls().hostname());
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
      claims.name = claimed.environment();
      claims.promotion = claimed.promotion();
      claims.refused = {claimed.refused().begin(), claimed.refused().end()};
      claims.targets = {claimed.targets().begin(), claimed.targets().end()};
      const std::map<std::string, ClaimedRoute> before = std::exchange(claims.routes, {});
      for (const auto& [name, route] : before) {
        if (route.standing) {
          claims.routes[name] = route;
        } else {
          owners_.erase(ListenKey(route.route));
        }
      }
      for (const auto& [name, route] : claimed.routes()) {
        const auto same = before.find(name);
        const bool is_new = same == before.end() || !Same(same->second.route, route);
        claims.routes[name] = {route, is_new ? claimed.record() : same->second.record};
        owners_[ListenKey(route)] = key;
      }
      return;
    }
    case Event::kRouteCreated: {
      const v1::RouteCreated& created = event.route_created();
      const std::string key = ToString(created.environment());
      claims_[key].routes[created.name()] = {created.route(), created.record(), true};
      owners_[ListenKey(created.route())] = key;
      return;
    }
    case Event::kRouteDeleted: {
      Claims& claims = claims_[ToString(event.route_deleted().environment())];
      const auto route = claims.routes.find(event.route_deleted().name());
      if (route == claims.routes.end()) return;
      owners_.erase(ListenKey(route->second.route));
      claims.routes.erase(route);
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
    if (route.route.to().process() == endpoint.process_type()) {
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
    case Event::kRouteCreated: {
      const std::string key = ToString(event.route_created().environment());
      keys->insert({kRouteStatesTopic, key});
      keys->insert({kTableTopic, RouteKey(key, event.route_created().name())});
      return;
    }
    case Event::kRouteDeleted: {
      const std::string key = ToString(event.route_deleted().environment());
      keys->insert({kRouteStatesTopic, key});
      keys->insert({kTableTopic, RouteKey(key, event.route_deleted().name())});
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
    for (const auto& [name, route] : claims->second.routes) {
      if (route.standing) (*routes.mutable_standing())[name] = route.route;
    }
    return Serialise(routes);
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
  *shown.mutable_route() = route->second.route;
  for (v1::Upstream& upstream : UpstreamsOf(claims->second, route->second.route)) {
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
      *info->mutable_route() = route.route;
      info->set_standing(route.standing);
      *info->mutable_record() = route.record;
      for (v1::Upstream& upstream : UpstreamsOf(claims, route.route)) {
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
