#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/executor/executor.h"
#include "common/watch/watch_cache.h"
#include "common/watch/watch_client.h"
#include "edge/data_plane.h"
#include "edge/route_table.h"
#include "edge/upstream_registry.h"

namespace berth::edge {

// Keeps the data plane's table fresh, and reports what it serves: a report is the acknowledgement
// that rollouts wait for. With the control plane away it goes on with the last table.
//
// Lives on its executor: every function is called there but those that say otherwise.
class RouteSubscription {
 public:
  static constexpr absl::Duration kReportInterval = absl::Seconds(5);
  // While connections to draining upstreams are open, how often it is looked whether they still
  // are.
  static constexpr absl::Duration kDrainLookInterval = absl::Milliseconds(100);
  static constexpr absl::Duration kRetryDelay = absl::Seconds(1);

  struct Dependencies {
    DataPlane* data_plane;
    UpstreamRegistry* registry;
    Executor* executor;
    const WatchCache* cache;
    // Sends a report; `done` runs on any thread.
    std::function<void(const scheduler::v1::ReportEdgeRequest&,
                       std::function<void(absl::Status)> done)>
        send_report;
  };

  explicit RouteSubscription(Dependencies dependencies) : with_(std::move(dependencies)) {}

  // Serves from what the cache held, and begins to report. `cached` is its content.
  void Start(const WatchClient& cached);

  // The watch brought news.
  void TableChanged(const WatchClient& client, const WatchClient::Update& update);

  // Whether there is a table to serve from, and the position of the scheduler's log that it shows.
  // From any thread.
  bool has_table() const { return has_table_; }
  uint64_t applied_position() const { return applied_position_; }

 private:
  // Whether the data plane serves from the client's entries now.
  bool Apply(const WatchClient& client);
  void LookAtDraining();
  void ReportSoon();
  void SendReport();
  void ReportPeriodically();
  scheduler::v1::ReportEdgeRequest MakeReport() const;

  const Dependencies with_;
  watch::v1::Revision table_;    // Of the edge-router's history, up to where the table is.
  watch::v1::Revision applied_;  // Of the scheduler's history, as the table says.
  std::atomic<uint64_t> applied_position_ = 0;
  std::atomic<bool> has_table_ = false;
  bool draining_ = false;  // The table names upstreams that drain.
  bool looking_ = false;   // LookAtDraining is posted.
  bool report_due_ = false;
  bool report_sending_ = false;
  std::string last_sent_;  // The last report's bytes.
};

}  // namespace berth::edge
