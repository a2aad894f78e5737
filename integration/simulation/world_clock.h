#pragma once

#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "integration/simulation/world.h"

namespace berth::simulation {

// The world's own clock, by which a database ends leases.
class WorldClock : public Clock {
 public:
  explicit WorldClock(const World* world) : world_(world) {}

  absl::Time Now() const override { return absl::UnixEpoch() + world_->now(); }
  absl::Duration Monotonic() const override { return world_->now(); }

 private:
  const World* const world_;
};

}  // namespace berth::simulation
