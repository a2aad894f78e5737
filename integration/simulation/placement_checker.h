#pragma once

#include "absl/status/status.h"
#include "berth/eventlog/v1/record.pb.h"
#include "services/scheduler/state.h"

namespace berth::simulation {

// What holds after every record of berth-scheduler, by a count of its own and not by the one that
// the scheduler decides on: no host has more memory promised than it has, and an instance is placed
// on a host only that is up, is its org's, and is as the manifest asks.
class PlacementChecker {
 public:
  // Takes the next record. An error is what does not hold any more.
  absl::Status Take(const eventlog::v1::Record& record);

  // As the records so far make it.
  const scheduler::State& state() const { return state_; }

 private:
  absl::Status CheckPlaced(const scheduler::v1::InstancePlaced& placed) const;
  absl::Status CheckMemory() const;

  scheduler::State state_;
};

}  // namespace berth::simulation
