#pragma once

#include "integration/simulation/scenario.h"

namespace berth::simulation {

// berth-config and the berth-scheduler that follows it, each on a disk of its own, and hosts with
// agents; people deploy, scale, restart and ask. Memory is never promised twice, and once all is
// mended every host runs what it should and nothing else.
Outcome RunScheduler(uint64_t seed, bool show);

}  // namespace berth::simulation
