#pragma once

#include "common/clock/clock.h"

namespace berth {

// A clock that stands still until told. Not thread-safe: for tests and simulations on one thread.
class ManualClock : public Clock {
 public:
  explicit ManualClock(absl::Time start = absl::FromUnixSeconds(1'700'000'000)) : now_(start) {}

  absl::Time Now() const override { return now_; }
  absl::Duration Monotonic() const override { return monotonic_; }

  void Advance(absl::Duration by) {
    now_ += by;
    monotonic_ += by;
  }

  // The wall clock is set, by less than nothing where it is set back; no time passes.
  void Set(absl::Duration by) { now_ += by; }

 private:
  absl::Time now_;
  absl::Duration monotonic_ = absl::Hours(1);
};

}  // namespace berth
