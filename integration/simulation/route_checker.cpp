#include "integration/simulation/route_checker.h"

#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/ids/names.h"
#include "integration/simulation/identities.h"

namespace berth::simulation {
namespace {

using edge_router::v1::RouteInfo;

// The instances that are sent connections to on the route's port, or drain.
std::set<std::string> ToInstances(const scheduler::State& placed, const RouteInfo& info) {
  std::set<std::string> instances;
  for (const auto& [instance, bytes] : placed.Entries(scheduler::State::kEndpointsTopic)) {
    scheduler::v1::Endpoint endpoint;
    BERTH_CHECK(endpoint.ParseFromString(bytes));
    if (ToString(endpoint.environment()) == ToString(info.environment()) &&
        endpoint.process_type() == info.route().to().process() &&
        endpoint.ports().contains(info.route().to().port())) {
      instances.insert(instance);
    }
  }
  return instances;
}

absl::Status CheckUpstreams(const scheduler::State& placed, const RouteInfo& info,
                            const std::string& what) {
  std::set<std::string> upstreams;
  for (const edge_router::v1::Upstream& upstream : info.upstreams()) {
    upstreams.insert(upstream.instance());
  }
  const std::set<std::string> expected = ToInstances(placed, info);
  if (upstreams == expected) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(what, " goes to ", upstreams.size(), " instances, and ",
                                          expected.size(), " are its endpoints"));
}

}  // namespace

absl::Status CheckRoutes(const config::State& wanted, const scheduler::State& placed,
                         const edge_router::State& routed) {
  std::map<std::string, std::string> owners;           // By hostname.
  std::map<std::string, std::set<std::string>> known;  // Routes, by environment.
  const edge_router::v1::ListRoutesResponse routes = routed.RoutesOf(kOrg);
  for (const RouteInfo& info : routes.routes()) {
    const std::string environment = ToString(info.environment());
    const std::string what = absl::StrCat("route ", info.name(), " of ", environment);
    known[environment].insert(info.name());
    if (!info.refused().empty()) continue;
    const std::string& hostname = info.route().tls().hostname();
    const auto [owner, added] = owners.emplace(hostname, environment);
    if (!added && owner->second != environment) {
      return absl::InternalError(
          absl::StrCat(what, " has ", hostname, ", which ", owner->second, " has, too"));
    }
    if (absl::Status status = CheckUpstreams(placed, info, what); !status.ok()) return status;
  }
  for (const config::v1::Environment& environment : wanted.EnvironmentsOf(kOrg)) {
    const std::string name = ToString(environment.name());
    for (const auto& [route, declared] : environment.desired().manifest().routes()) {
      if (known[name].contains(route)) continue;
      return absl::InternalError(
          absl::StrCat("route ", route, " of ", name, " is neither there nor refused"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckActiveSecrets(const secrets::State& stored, const scheduler::State& placed) {
  std::map<std::string, scheduler::SecretVersions> active;
  for (const auto& [key, bytes] : stored.Entries(secrets::State::kActiveSecretsTopic)) {
    secrets::v1::ActiveSecrets entry;
    BERTH_CHECK(entry.ParseFromString(bytes));
    active[key] = {entry.versions().begin(), entry.versions().end()};
  }
  for (const auto& [key, environment] : placed.environments()) {
    if (placed.ActiveSecrets(key) == active[key]) continue;
    return absl::InternalError(
        absl::StrCat("the scheduler does not know which secrets are active in ", key));
  }
  return absl::OkStatus();
}

}  // namespace berth::simulation
