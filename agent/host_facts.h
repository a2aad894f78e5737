#pragma once

#include "agent/runtime/driver.h"
#include "berth/scheduler/v1/scheduler.pb.h"

namespace berth::agent {

// Memory that is never promised to instances: the host's own, and Berth's.
inline constexpr uint64_t kMemoryReservedBytes = uint64_t{256} << 20;
// What a report carries at most.
inline constexpr int kLocalImagesMax = 1000;

// What the host is and has, as the kernel and the driver say. Blocks for driver calls; what cannot
// be found out is a problem in the facts, not an error.
scheduler::v1::HostFacts CollectHostFacts(Driver* driver);

}  // namespace berth::agent
