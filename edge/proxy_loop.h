#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/net/socket_address.h"
#include "common/net/unique_fd.h"
#include "common/sync/mutex.h"
#include "edge/connection.h"
#include "edge/counters.h"
#include "edge/event_loop.h"
#include "edge/listener.h"
#include "edge/route_table.h"
#include "edge/timer_heap.h"
#include "edge/upstream_prober.h"
#include "edge/upstream_registry.h"

namespace berth::edge {

// A port that could not be opened is tried again after kListenRetryMin, then after twice as long
// each time, at most after kListenRetryMax. A new table tries at once.
inline constexpr absl::Duration kListenRetryMin = absl::Milliseconds(500);
inline constexpr absl::Duration kListenRetryMax = absl::Seconds(10);

// One event loop with its listeners, its connections and the table they go by. Everything here
// belongs to the thread that calls Run, but for Post, Stop, counters and ListenerProblems.
class ProxyLoop final : private Listener::Owner {
 public:
  struct Options {
    std::string listen_ip;
    size_t connections_max = 0;
    ConnectionTimeouts timeouts;
  };

  // `clock` and `registry` outlive the loop. kInvalidArgument: listen_ip is not an IP address.
  static absl::StatusOr<std::unique_ptr<ProxyLoop>> Create(const Options& options,
                                                           const Clock* clock,
                                                           UpstreamRegistry* registry);
  ~ProxyLoop();

  // From now on this loop tries upstreams that could not be reached; one loop is enough. Before
  // Run.
  void ProbeUpstreams(absl::Duration interval) { prober_.emplace(&context_, interval); }

  void Run();
  void Stop() { loop_->Stop(); }
  void Post(std::function<void()> step) { loop_->Post(std::move(step)); }

  // New connections go by `table` from now on; ports that it adds are opened, those it lacks
  // closed. Connections that exist are left alone.
  void SetTable(std::shared_ptr<const RouteTable> table);

  // Takes over a listening socket of another process. The next table begins to accept from it, or
  // closes it if it lacks the port.
  absl::Status Adopt(UniqueFd socket);

  // Duplicates of the listening sockets, for another process to adopt.
  std::vector<UniqueFd> DuplicateListeners() const;

  // Ends what goes through the upstream.
  void CloseUpstream(absl::string_view id);

  // Closes every listener for good.
  void StopAccepting();

  // Calls `on_empty` as soon as there is no connection: perhaps at once. Replaces the one before.
  void WhenEmpty(std::function<void()> on_empty);

  // Ends every connection.
  void CloseAll();

  const Counters& counters() const { return counters_; }
  // Why the ports that should be open are not.
  std::map<uint16_t, std::string> ListenerProblems() const;

 private:
  ProxyLoop(std::unique_ptr<EventLoop> loop, const Options& options, UpstreamRegistry* registry);

  void OnAccepted(UniqueFd client, uint16_t port) override;
  bool HasRoom() override;
  void OnOutOfDescriptors() override { counters_.Increment(Count::kOutOfDescriptors); }
  void OnConnectionEnd(Connection* connection);

  // Opens the ports of the table that are not open; sets the retry timer if that fails for some.
  void OpenListeners();

  const Options options_;
  const std::unique_ptr<EventLoop> loop_;
  Counters counters_;
  ConnectionContext context_;
  bool accepting_ = true;
  std::multimap<uint16_t, std::unique_ptr<Listener>> listeners_;  // Several where adopted.
  std::vector<std::unique_ptr<Listener>> adopted_;                // Until the next table.
  Timer listen_retry_timer_;
  absl::Duration listen_retry_ = kListenRetryMin;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> ended_;  // Until the end of the turn.
  std::function<void()> on_empty_;
  std::optional<UpstreamProber> prober_;

  mutable Mutex problems_mutex_;
  std::map<uint16_t, std::string> problems_ ABSL_GUARDED_BY(problems_mutex_);
};

}  // namespace berth::edge
