#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "services/scheduler/state.h"

namespace berth::scheduler {

// The state in a few numbers, for who watches over a platform.
struct FleetNumbers {
  size_t environments = 0;
  size_t edges = 0;
  std::map<v1::HostPresence, size_t> hosts;  // Every presence is there.
  std::map<v1::Phase, size_t> instances;     // As last reported; every phase is there.
  size_t rollouts_running = 0;
  size_t unplaced_process_types = 0;  // No host has room for them.
  // Of hosts that are up: what they have, and what of it is promised.
  uint64_t memory_bytes = 0;
  uint64_t memory_bytes_promised = 0;
};

// Looks at every instance once. Pure.
FleetNumbers NumbersOf(const State& state);

}  // namespace berth::scheduler
