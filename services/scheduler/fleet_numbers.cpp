#include "services/scheduler/fleet_numbers.h"

namespace berth::scheduler {

FleetNumbers NumbersOf(const State& state) {
  FleetNumbers numbers;
  for (int i = v1::HostPresence_MIN; i <= v1::HostPresence_MAX; ++i) {
    if (v1::HostPresence_IsValid(i)) numbers.hosts[static_cast<v1::HostPresence>(i)] = 0;
  }
  for (int i = v1::Phase_MIN; i <= v1::Phase_MAX; ++i) {
    if (v1::Phase_IsValid(i)) numbers.instances[static_cast<v1::Phase>(i)] = 0;
  }
  numbers.environments = state.environments().size();
  numbers.edges = state.edges().size();
  for (const auto& [name, host] : state.hosts()) {
    ++numbers.hosts[host.presence];
    if (host.presence != v1::HOST_PRESENCE_UP) continue;
    numbers.memory_bytes += host.facts.capacity().memory_bytes();
    numbers.memory_bytes_promised += host.promised.memory_bytes();
  }
  for (const auto& [name, environment] : state.environments()) {
    numbers.rollouts_running += environment.rollout.phase == v1::ROLLOUT_PHASE_RUNNING ? 1 : 0;
    numbers.unplaced_process_types += environment.unplaced.size();
    for (const auto& [id, instance] : environment.instances) {
      ++numbers.instances[instance.observed.phase()];
    }
  }
  return numbers;
}

}  // namespace berth::scheduler
