#pragma once

#include <string>

#include "cli/environment_state.h"
#include "cli/json.h"

namespace berth::cli {

// What a route listens for, where it leads and whose it is, or why it was refused.
std::string RouteText(const edge_router::v1::RouteInfo& route);

// How an environment's newest rollout stood, in words.
std::string RolloutWords(const config::v1::Environment& environment);

// An environment at a moment, for people and for programs. `state` has an environment.
std::string EnvironmentText(const EnvironmentState& state);
Json EnvironmentJson(const EnvironmentState& state);

}  // namespace berth::cli
