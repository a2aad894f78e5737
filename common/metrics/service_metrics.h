#pragma once

#include <string>

#include "common/eventlog/log_writer.h"
#include "common/metrics/metrics.h"
#include "common/rpc/dispatcher.h"

namespace berth {

// Measures what every service has: its RPCs, its log and its watches. Made before the service
// starts; `service` is the log's name. Dispatcher and writer outlive it, and the metrics outlive
// them.
//
// RPCs have the names that dashboards for gRPC expect (grpc_server_…). Their series are bounded by
// the methods of the proto times the codes of gRPC; those of the log by the services of a process;
// those of watches by the kinds of topics.
class ServiceMetrics {
 public:
  ServiceMetrics(Metrics* metrics, const std::string& service, rpc::Dispatcher* dispatcher,
                 LogWriter* writer);
  ServiceMetrics(const ServiceMetrics&) = delete;
  ServiceMetrics& operator=(const ServiceMetrics&) = delete;

 private:
  void MeasureCalls(Metrics* metrics, rpc::Dispatcher* dispatcher);
  void MeasureLog(Metrics* metrics, LogWriter* writer);

  const std::string service_;
  Metrics::Registration streams_;
  Metrics::Registration log_;
  Metrics::Registration ready_;
};

}  // namespace berth
