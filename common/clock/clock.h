#pragma once

#include "absl/time/time.h"

namespace berth {

// The two times a daemon may read. Only what gets a Clock injected may know the time.
class Clock {
 public:
  virtual ~Clock() = default;

  // Wall time: for records and people. May jump.
  virtual absl::Time Now() const = 0;

  // Time since an arbitrary moment; never goes back. For leases, deadlines and timers.
  virtual absl::Duration Monotonic() const = 0;
};

}  // namespace berth
