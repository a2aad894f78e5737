#pragma once

// An environment as its services say it is, for tests: release 3 of hello, one secret, one standing
// route.

#include <string>

#include "cli/environment_state.h"

namespace berth::cli {

inline config::v1::Release Release(uint64_t number, uint32_t web = 2) {
  config::v1::Release release;
  release.set_number(number);
  release.set_image("localhost/hello@sha256:" + std::string(64, 'a'));
  release.set_origin("deploy");
  release.set_created_by("user/ada");
  (*release.mutable_replicas())["web"] = web;
  (*(*release.mutable_manifest()->mutable_processes())["web"].mutable_env())["COLOUR"] = "red";
  return release;
}

inline secrets::v1::Secret Secret(const std::string& name, uint64_t active) {
  secrets::v1::Secret secret;
  secret.set_name(name);
  secret.set_active_version(active);
  secret.set_newest_version(active);
  secret.set_updated_by("user/ada");
  return secret;
}

inline edge_router::v1::RouteInfo StandingRoute(const std::string& name, uint32_t port) {
  edge_router::v1::RouteInfo route;
  route.set_name(name);
  route.set_standing(true);
  route.mutable_route()->mutable_tcp()->set_port(port);
  route.mutable_route()->mutable_to()->set_process("web");
  route.mutable_route()->mutable_to()->set_port("http");
  route.mutable_record()->set_actor("user/ada");
  return route;
}

inline EnvironmentState Hello() {
  EnvironmentState state;
  state.name.set_org("home");
  state.name.set_app("hello");
  state.name.set_env("production");
  config::v1::Environment& environment = state.environment.emplace();
  *environment.mutable_name() = state.name;
  *environment.mutable_desired() = Release(3);
  environment.set_current_release(3);
  environment.set_promotion(5);
  environment.set_rollout(config::v1::ROLLOUT_STATE_SUCCEEDED);
  state.secrets.push_back(Secret("api-key", 1));
  state.routes.push_back(StandingRoute("extra", 8090));
  return state;
}

}  // namespace berth::cli
