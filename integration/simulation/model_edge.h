#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "berth/scheduler/v1/scheduler.pb.h"
#include "integration/simulation/network.h"
#include "integration/simulation/reporter.h"
#include "integration/simulation/watcher.h"

namespace berth::simulation {

// An edge, as the services see it: it takes up each table, has a connection to everything that the
// table sends connections to, which ends some time after that is told to drain, and reports both.
// Connections end with the edge; the table it has on disk.
//
// The real edge is not in it: its data plane has threads and sockets.
class ModelEdge {
 public:
  struct Options {
    std::string name;
    std::vector<std::string> edge_routers;  // The processes that answer; one of them leads.
    std::vector<std::string> schedulers;    // As those.
  };

  ModelEdge(World* world, Network* network, Options options);

  Process& process() { return watcher_.process(); }
  // What it was told.
  WatchHistory History() const { return watcher_.History(); }

  bool HasConnectionTo(const std::string& instance) const { return connected_.contains(instance); }

 private:
  struct Running;

  void Take(const WatchClient& client);
  void Close(const std::string& instance);
  scheduler::v1::ReportEdgeRequest MakeReport() const;

  World* const world_;
  Network* const network_;
  const Options options_;
  Random random_;
  scheduler::v1::ReportEdgeRequest table_;  // Of a report: what it has, and shows.
  std::set<std::string> connected_;         // Instances that it has a connection to.
  std::set<std::string> closing_;           // Those of them whose connection is going to end.
  Reporter* reporter_ = nullptr;            // Of the edge's life; nullptr: there is none.
  Watcher watcher_;
};

}  // namespace berth::simulation
