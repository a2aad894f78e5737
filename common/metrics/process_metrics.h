#pragma once

#include "common/metrics/metrics.h"

namespace berth {

// This process as the kernel has it: processor time, memory, descriptors, threads, start time.
// What /proc does not tell is left out.
void AddProcessMetrics(MetricsPage* page);

}  // namespace berth
