#pragma once

#include "common/metrics/metrics.h"
#include "services/scheduler/service.h"

namespace berth::scheduler {

// Measures what the scheduler decides and what its fleet is. Made before the service starts; the
// service outlives it, and the metrics outlive the service. Labels are phases, presences and
// outcomes only.
class SchedulerMetrics {
 public:
  SchedulerMetrics(Metrics* metrics, Service* service);

 private:
  Metrics::Registration fleet_;
};

}  // namespace berth::scheduler
