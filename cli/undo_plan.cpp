#include "cli/undo_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/errors.h"
#include "common/ids/names.h"
#include "common/manifest/route.h"

namespace berth::cli {
namespace {

using edge_router::v1::RouteInfo;
using secrets::v1::Secret;

// Of a secret that is not there: 0.
uint64_t ActiveVersion(const EnvironmentState& state, const std::string& name) {
  const auto found = std::find_if(state.secrets.begin(), state.secrets.end(),
                                  [&](const Secret& each) { return each.name() == name; });
  return found == state.secrets.end() ? 0 : found->active_version();
}

void PlanSecrets(const EnvironmentState& then, const EnvironmentState& now,
                 const KeptVersions& kept, UndoPlan* plan) {
  for (const std::string& name : SecretsToRestore(then, now)) {
    const uint64_t version = ActiveVersion(then, name);
    const auto versions = kept.find(name);
    if (versions == kept.end() || !versions->second.contains(version)) {
      const uint64_t active = ActiveVersion(now, name);
      plan->not_restorable.push_back(
          absl::StrCat("secret ", name, ": version ", version, " was deleted since; ",
                       active == 0 ? std::string("the secret is not set")
                                   : absl::StrCat("version ", active, " stays active")));
      continue;
    }
    secrets::v1::ActivateSecretRequest activate;
    *activate.mutable_environment() = then.name;
    activate.set_name(name);
    activate.set_version(version);
    plan->steps.emplace_back(std::move(activate));
  }
  for (const Secret& secret : now.secrets) {
    if (ActiveVersion(then, secret.name()) != 0) continue;
    plan->remarks.push_back(
        absl::StrCat("secret ", secret.name(), " was made since and stays; no value is deleted"));
  }
}

void PlanRelease(const EnvironmentState& then, const EnvironmentState& now, UndoPlan* plan) {
  const uint64_t release = then.environment->desired().number();
  if (then.environment->rollout() == config::v1::ROLLOUT_STATE_RUNNING) {
    plan->remarks.push_back(absl::StrCat("release ", release, " was still being rolled out then"));
  }
  if (now.environment.has_value() && now.environment->desired().number() == release) {
    if (now.environment->rollout() == config::v1::ROLLOUT_STATE_RUNNING) {
      plan->promotion_under_way = now.environment->promotion();
    }
    return;
  }
  config::v1::RollbackRequest rollback;
  *rollback.mutable_environment() = then.name;
  rollback.set_release(release);
  plan->steps.emplace_back(std::move(rollback));
}

std::map<std::string, config::v1::Route> StandingRoutes(const EnvironmentState& state) {
  std::map<std::string, config::v1::Route> routes;
  for (const RouteInfo& route : state.routes) {
    if (route.standing()) routes[route.name()] = route.route();
  }
  return routes;
}

bool HasRoute(const std::map<std::string, config::v1::Route>& routes, const std::string& name,
              const config::v1::Route& route) {
  const auto found = routes.find(name);
  return found != routes.end() && found->second.SerializeAsString() == route.SerializeAsString();
}

// Standing routes only: a manifest's come and go with its release.
void PlanRoutesToDelete(const EnvironmentState& then, const EnvironmentState& now, UndoPlan* plan) {
  const auto wanted = StandingRoutes(then);
  for (const auto& [name, route] : StandingRoutes(now)) {
    if (HasRoute(wanted, name, route)) continue;
    edge_router::v1::DeleteRouteRequest remove;
    *remove.mutable_environment() = then.name;
    remove.set_name(name);
    plan->steps.emplace_back(std::move(remove));
  }
}

void PlanRoutesToCreate(const EnvironmentState& then, const EnvironmentState& now, UndoPlan* plan) {
  const auto there = StandingRoutes(now);
  for (const auto& [name, route] : StandingRoutes(then)) {
    if (HasRoute(there, name, route)) continue;
    edge_router::v1::CreateRouteRequest create;
    *create.mutable_environment() = then.name;
    create.set_name(name);
    *create.mutable_route() = route;
    plan->steps.emplace_back(std::move(create));
  }
}

// A command's words, and the environment it is about.
std::string Line(const std::string& words, const types::v1::EnvironmentName& name) {
  return absl::StrCat("berth ", words, " --org ", name.org(), " --app ", name.app(), " --env ",
                      name.env());
}

}  // namespace

std::vector<std::string> SecretsToRestore(const EnvironmentState& then,
                                          const EnvironmentState& now) {
  std::vector<std::string> names;
  for (const Secret& secret : then.secrets) {
    if (ActiveVersion(now, secret.name()) != secret.active_version()) {
      names.push_back(secret.name());
    }
  }
  return names;
}

absl::StatusOr<UndoPlan> PlanUndo(const EnvironmentState& then, const EnvironmentState& now,
                                  const KeptVersions& kept) {
  if (!then.environment.has_value() || !then.environment->has_desired()) {
    return WithAction(
        absl::FailedPreconditionError(
            absl::StrCat(MomentText(then.at), ": nothing was deployed to ",
                         berth::ToString(then.name), ", so there is nothing to go back to")),
        absl::StrCat("see what came when with `berth events --resource ", then.name.app(), "/",
                     then.name.env(), "`; `berth env delete` takes the environment away"));
  }
  UndoPlan plan;
  PlanSecrets(then, now, kept, &plan);
  PlanRoutesToDelete(then, now, &plan);
  PlanRelease(then, now, &plan);
  PlanRoutesToCreate(then, now, &plan);
  return plan;
}

std::string CommandText(const UndoStep& step) {
  struct Words {
    std::string operator()(const secrets::v1::ActivateSecretRequest& activate) const {
      return Line(absl::StrCat("secret activate ", activate.name(), " ", activate.version()),
                  activate.environment());
    }
    std::string operator()(const edge_router::v1::DeleteRouteRequest& remove) const {
      return Line(absl::StrCat("route delete ", remove.name()), remove.environment());
    }
    std::string operator()(const config::v1::RollbackRequest& rollback) const {
      return Line(absl::StrCat("rollback ", rollback.release()), rollback.environment());
    }
    std::string operator()(const edge_router::v1::CreateRouteRequest& create) const {
      const config::v1::Route& route = create.route();
      std::string words = absl::StrCat("route create ", create.name(), " --listen ",
                                       ListenerText(route), " --to ", berth::ToString(route.to()));
      if (route.has_tls()) absl::StrAppend(&words, " --host ", route.tls().hostname());
      if (route.proxy_protocol() == config::v1::PROXY_PROTOCOL_V2) {
        absl::StrAppend(&words, " --proxy-protocol v2");
      }
      return Line(words, create.environment());
    }
  };
  return std::visit(Words(), step);
}

}  // namespace berth::cli
