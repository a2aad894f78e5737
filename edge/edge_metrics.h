#pragma once

#include <cstdint>
#include <functional>

#include "common/metrics/metrics.h"
#include "edge/data_plane.h"
#include "edge/upstream_registry.h"

namespace berth::edge {

// What the edge counts anyway, as a scrape shows it: connections pay nothing for it. Labels are
// outcomes and directions only, never a host name, a route or an upstream. What is passed in
// outlives it.
class EdgeMetrics {
 public:
  struct Table {
    std::function<bool()> exists;        // Whether there is one to serve from.
    std::function<uint64_t()> position;  // Of the scheduler's log that it shows.
  };

  EdgeMetrics(Metrics* metrics, const DataPlane* data_plane, const UpstreamRegistry* registry,
              Table table);

 private:
  Metrics::Registration source_;
  Metrics::Registration ready_;
};

// A scrape's part that is about connections.
void AddCounts(MetricsPage* page, const CounterSnapshot& counts);

}  // namespace berth::edge
