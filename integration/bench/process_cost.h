#pragma once

#include <sys/types.h>

#include "absl/time/time.h"

namespace berth::bench {

// proc(5), smaps_rollup: proportional and unique set size, in MB of 10^6 bytes.
struct Memory {
  double pss_mb = 0;
  double uss_mb = 0;

  Memory& operator+=(const Memory& other) {
    pss_mb += other.pss_mb;
    uss_mb += other.uss_mb;
    return *this;
  }
};

Memory MemoryOf(pid_t pid);

// User and system time that a process has used so far; to the hundredth of a second.
absl::Duration CpuOf(pid_t pid);

}  // namespace berth::bench
