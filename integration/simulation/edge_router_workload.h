#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "integration/simulation/client.h"
#include "integration/simulation/history.h"
#include "services/edge_router/state.h"

namespace berth::simulation {

// What people ask of berth-edge-router: standing routes, and which routes there are.
std::optional<Asked> AskEdgeRouter(Random* random);

// A standing route to one of the environments.
Asked AskToRoute(Random* random);

// The question that anyone may ask: which routes there are.
Asked AskRoutes();

// What a state answers to that question.
absl::StatusOr<std::string> AnswerOfEdgeRouter(const edge_router::State& state,
                                               const Operation& question);

}  // namespace berth::simulation
