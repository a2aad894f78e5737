#include "common/clock/system_clock.h"

#include <ctime>

#include "absl/time/clock.h"

namespace berth {

absl::Time SystemClock::Now() const { return absl::Now(); }

absl::Duration SystemClock::Monotonic() const {
  timespec now;
  // BOOTTIME counts a suspended machine's sleep, so that a lease cannot outlive it unnoticed.
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

}  // namespace berth
