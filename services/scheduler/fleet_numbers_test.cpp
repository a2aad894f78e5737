#include "services/scheduler/fleet_numbers.h"

#include <catch2/catch.hpp>

#include "services/scheduler/model_fleet.h"

namespace berth::scheduler {
namespace {

TEST_CASE("a fleet is counted by presence, phase and what is promised",
          "[scheduler][fleet_numbers]") {
  Fleet fleet;
  const FleetNumbers empty = NumbersOf(fleet.state());
  CHECK(empty.hosts.at(v1::HOST_PRESENCE_LOST) == 0);
  CHECK(empty.instances.at(v1::PHASE_FAILED) == 0);

  fleet.AddHost("alpha", 1000 * kMiB);
  fleet.AddHost("beta", 500 * kMiB);
  fleet.Promote(Fleet::Release("v1", 3));
  fleet.RunUntilQuiet();
  const FleetNumbers numbers = NumbersOf(fleet.state());
  CHECK(numbers.environments == 1);
  CHECK(numbers.hosts.at(v1::HOST_PRESENCE_UP) == 2);
  CHECK(numbers.instances.at(v1::PHASE_READY) == 3);
  CHECK(numbers.rollouts_running == 0);
  CHECK(numbers.unplaced_process_types == 0);
  CHECK(numbers.memory_bytes == 1500 * kMiB);
  CHECK(numbers.memory_bytes_promised == 300 * kMiB);

  fleet.LoseHost("beta");
  const FleetNumbers without = NumbersOf(fleet.state());
  CHECK(without.hosts.at(v1::HOST_PRESENCE_UP) == 1);
  CHECK(without.hosts.at(v1::HOST_PRESENCE_LOST) == 1);
  CHECK(without.memory_bytes == 1000 * kMiB);
}

TEST_CASE("what waits for room is counted", "[scheduler][fleet_numbers]") {
  Fleet fleet;
  fleet.Promote(Fleet::Release("v1", 2));
  fleet.Settle();
  const FleetNumbers numbers = NumbersOf(fleet.state());
  CHECK(numbers.unplaced_process_types == 1);
  CHECK(numbers.rollouts_running == 1);
}

}  // namespace
}  // namespace berth::scheduler
