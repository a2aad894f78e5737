#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/eventlog/log_writer.h"
#include "common/metrics/metrics.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/server.h"
#include "common/service_process/service_foundation.h"
#include "common/service_process/service_settings.h"

namespace berth {

// One of Berth's services, as the process that it runs in sees it.
struct HostedService {
  rpc::Dispatcher* dispatcher;
  LogWriter* writer;
  // `started` gets OK once calls can be served, or refused because another process leads, or the
  // error that ends the process. `address` is where others are led to while this one leads.
  std::function<void(std::string address, std::function<void(absl::Status)> started)> start;
  // Begins to follow the other services over this channel; empty: it follows none.
  std::function<void(std::shared_ptr<rpc::Channel> services)> follow;
  // Measures what this service has beside what all have, until the result goes; empty: nothing.
  std::function<std::shared_ptr<void>(Metrics*)> measure;
};

// Makes a HostedService of a service with the usual shape, which lives as long as the result.
// `follow(service, channel)` may be left out.
template <typename Service>
HostedService HostService(std::shared_ptr<Service> service) {
  HostedService hosted;
  hosted.dispatcher = &service->dispatcher();
  hosted.writer = &service->writer();
  hosted.start = [service](std::string address, std::function<void(absl::Status)> started) {
    service->Start(std::move(address), std::move(started));
  };
  return hosted;
}
template <typename Service, typename Follow>
HostedService HostService(std::shared_ptr<Service> service, Follow follow) {
  HostedService hosted = HostService(service);
  hosted.follow = [service, follow](std::shared_ptr<rpc::Channel> services) {
    follow(service.get(), std::move(services));
  };
  return hosted;
}

// Makes the service on what it stands on, which outlives it.
using MakeService = std::function<absl::StatusOr<HostedService>(ServiceFoundation*)>;

// Starts the service and waits until it serves or stands by, which takes as long as its log cannot
// be reached. kCancelled: the process was told to stop meanwhile.
absl::Status StartAndWait(const std::string& name, const std::string& address,
                          const HostedService& service);

// Measures the service, what all have and what it alone has, for as long as the result lives.
std::shared_ptr<void> Measure(Metrics* metrics, const std::string& name,
                              const HostedService& service);

// What a process with one service beside auth runs.
struct ServiceProgram {
  std::string name;
  std::string http;  // Where it serves its metrics by default.
  MakeService make;
  ReadOwnSettings read_settings = {};  // Called before `make`; empty: it has none of its own.
};

// The main of such a process: settings, membership, log, service, server; then it follows auth and
// the others, announces where it is, and serves until it is told to stop.
int ServiceMain(const ServiceProgram& program, int argc, char** argv);

}  // namespace berth
