#include "edge/edge_metrics.h"

#include <string>

namespace berth::edge {

void AddCounts(MetricsPage* page, const CounterSnapshot& counts) {
  auto counter = [&](const char* name, const char* help, const prometheus::Labels& labels,
                     Count count) {
    page->Counter(name, help, labels, static_cast<double>(counts[count]));
  };
  counter("berth_edge_connections_accepted_total", "Connections accepted.", {}, Count::kAccepted);
  page->Gauge("berth_edge_connections", "Connections that have not ended.", {},
              static_cast<double>(counts[Count::kActive]));
  auto outcome = [&](const char* result, Count count) {
    counter("berth_edge_connections_total",
            "Connections by what became of them: routed to an upstream, or why not.",
            {{"result", result}}, count);
  };
  outcome("routed", Count::kRouted);
  outcome("no_route", Count::kNoRoute);
  outcome("no_upstream", Count::kNoUpstream);
  outcome("not_tls", Count::kNotTls);
  outcome("hello_malformed", Count::kHelloMalformed);
  outcome("hello_too_large", Count::kHelloTooLarge);
  outcome("hello_timeout", Count::kHelloTimeouts);
  outcome("hello_abandoned", Count::kHelloAbandoned);
  counter("berth_edge_connect_failures_total",
          "Attempts to reach an upstream that failed, timeouts included.", {},
          Count::kConnectFailures);
  counter("berth_edge_connect_timeouts_total", "Attempts to reach an upstream that took too long.",
          {}, Count::kConnectTimeouts);
  auto cut = [&](const char* reason, Count count) {
    counter("berth_edge_connections_cut_total",
            "Routed connections that ended otherwise than by either side closing.",
            {{"reason", reason}}, count);
  };
  cut("idle", Count::kIdleTimeouts);
  cut("reset", Count::kResets);
  cut("upstream_gone", Count::kClosedWithUpstream);
  cut("shutdown", Count::kClosedAtEnd);
  auto pause = [&](const char* reason, Count count) {
    counter("berth_edge_accept_pauses_total", "Times that accepting paused for want of room.",
            {{"reason", reason}}, count);
  };
  pause("descriptors", Count::kOutOfDescriptors);
  pause("connections_max", Count::kLimitReached);
  auto bytes = [&](const char* direction, Count count) {
    counter("berth_edge_bytes_total", "Bytes passed on.", {{"direction", direction}}, count);
  };
  bytes("to_upstream", Count::kBytesToUpstreams);
  bytes("to_client", Count::kBytesToClients);
}

EdgeMetrics::EdgeMetrics(Metrics* metrics, const DataPlane* data_plane,
                         const UpstreamRegistry* registry, Table table)
    : source_(
          metrics->AddSource([data_plane, registry, position = table.position](MetricsPage* page) {
            AddCounts(page, data_plane->Counts());
            page->Gauge("berth_edge_listeners_failing", "Ports of the table that cannot be opened.",
                        {}, static_cast<double>(data_plane->ListenerProblems().size()));
            page->Gauge("berth_edge_upstreams", "Upstreams that a table or a connection holds.", {},
                        static_cast<double>(registry->size()));
            page->Gauge("berth_edge_upstreams_not_reached",
                        "Upstreams of the table that could not be connected to when last tried.",
                        {}, static_cast<double>(registry->UpstreamsNotReached().size()));
            page->Gauge("berth_edge_table_position",
                        "Position of the scheduler's log that the table in use shows.", {},
                        static_cast<double>(position()));
          })),
      ready_(metrics->AddReadyCheck([exists = table.exists] {
        return exists() ? absl::OkStatus() : absl::UnavailableError("there is no table of routes");
      })) {}

}  // namespace berth::edge
