#pragma once

#include "absl/status/status.h"
#include "services/config/state.h"
#include "services/edge_router/state.h"
#include "services/scheduler/state.h"
#include "services/secrets/state.h"

namespace berth::simulation {

// Whether, long after all faults have ended, berth-edge-router knows what config and the scheduler
// say: each route that a manifest asks for is there or refused, no hostname has two owners, and
// connections go to the endpoints that there are. An error is what is not so.
absl::Status CheckRoutes(const config::State& wanted, const scheduler::State& placed,
                         const edge_router::State& routed);

// Whether the scheduler gives instances the versions of secrets that are active.
absl::Status CheckActiveSecrets(const secrets::State& stored, const scheduler::State& placed);

}  // namespace berth::simulation
