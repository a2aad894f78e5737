#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/net/unique_fd.h"
#include "edge/connection.h"
#include "edge/counters.h"
#include "edge/proxy_loop.h"
#include "edge/route_table.h"
#include "edge/upstream_registry.h"

namespace berth::edge {

struct DataPlaneOptions {
  // Threads that move bytes; one per core is right where the machine does nothing else.
  size_t loops = std::thread::hardware_concurrency();
  // Where ports are opened. "::" takes IPv6 and IPv4.
  std::string listen_ip = "::";
  // Connections at once, over all loops, in whatever phase; with as many, clients wait in the
  // kernel's queue. Each may need four descriptors (two sockets, a pipe).
  size_t connections_max = 50'000;
  ConnectionTimeouts timeouts;
  // How often upstreams that are new or could not be reached are tried without a client; below
  // kEjectionTime, so that clients are spared the ones that are dead.
  absl::Duration probe_interval = absl::Seconds(5);
};

// The edge's part that moves bytes: takes connections on the ports of a route table and relays them
// to upstreams. What an upstream is seen to do is read from the registry.
//
// Calls may come from any thread, one at a time. They wait until every loop has done what was
// asked: after Apply returns, no connection is begun by an older table. Counts and ListenerProblems
// may be asked for at any time.
class DataPlane {
 public:
  // Starts the loops, which listen nowhere until the first Apply. `clock` and `registry` outlive
  // it. kInvalidArgument: an option; kResourceExhausted: no descriptors are left.
  static absl::StatusOr<std::unique_ptr<DataPlane>> Create(const DataPlaneOptions& options,
                                                           const Clock* clock,
                                                           UpstreamRegistry* registry);
  // Ends every connection.
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  // Replaces the table. Established connections are left alone, also those to upstreams that the
  // new table lacks. Ports are opened and closed as it says; see ListenerProblems for those that
  // cannot.
  void Apply(std::shared_ptr<const RouteTable> table);

  // For an upgrade without a refused connection: the old process sends duplicates of its listening
  // sockets to the new one, which adopts them before its first Apply; then the old one drains.
  // Connections that wait in the sockets meanwhile are accepted by whichever comes first.
  // kInvalidArgument: one is not a socket that listens; the others are adopted.
  std::vector<UniqueFd> DuplicateListeners();
  absl::Status Adopt(std::vector<UniqueFd> sockets);

  // Ends the connections to an upstream: its drain deadline has passed, or it is gone. The table
  // should not name it any more, or new ones begin.
  void CloseUpstream(absl::string_view id);

  // Closes the listening sockets for good; connections go on.
  void StopAccepting();

  // Stops accepting, waits until every connection has ended or `drain_max` has passed, and ends the
  // rest. Returns how many those were.
  size_t Drain(absl::Duration drain_max);

  // Ports of the table that are not open, with the reason ("address in use"). They are tried again
  // by and by, while the rest of the table works.
  std::map<uint16_t, std::string> ListenerProblems() const;

  CounterSnapshot Counts() const;

 private:
  DataPlane() = default;

  // Runs `step` for every loop on the loop's thread and returns when all have.
  void OnEveryLoop(const std::function<void(ProxyLoop*)>& step);

  std::vector<std::unique_ptr<ProxyLoop>> loops_;
  std::vector<std::thread> threads_;  // One for each of loops_.
};

}  // namespace berth::edge
