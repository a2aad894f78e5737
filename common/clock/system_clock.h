#pragma once

#include "common/clock/clock.h"

namespace berth {

// The machine's clocks. Safe to use from any thread.
class SystemClock : public Clock {
 public:
  absl::Time Now() const override;
  absl::Duration Monotonic() const override;
};

}  // namespace berth
