#pragma once

#include "absl/status/status.h"
#include "services/config/state.h"
#include "services/scheduler/state.h"

namespace berth::simulation {

// Whether the scheduler, left alone for long enough, has brought about what config wants: it knows
// every promotion, each rollout has ended and config knows how, and each process type has its
// replicas, or says of no host that could take one more that none can. An error is what is not so.
absl::Status CheckConverged(const config::State& wanted, const scheduler::State& placed);

}  // namespace berth::simulation
