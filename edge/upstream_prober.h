#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "common/net/unique_fd.h"
#include "edge/connection.h"
#include "edge/event_loop.h"
#include "edge/route_table.h"
#include "edge/timer_heap.h"
#include "edge/upstream_registry.h"

namespace berth::edge {

// Tries, without a client, to connect to upstreams that nobody has connected to yet or could not be
// reached. So a new one without a way to it is known, a dead one stays ejected at no client's cost,
// and one that came back is known to have before a client asks for it. On one loop's thread.
class UpstreamProber {
 public:
  // Upstreams tried in one round; the next round goes on with the others.
  static constexpr size_t kProbesPerRoundMax = 64;

  // Rounds begin `interval` after one another, which is also how long an upstream has to answer.
  // `context` outlives the prober, and its table is the one whose upstreams are tried.
  UpstreamProber(const ConnectionContext* context, absl::Duration interval);
  ~UpstreamProber();

 private:
  // A connection that is closed as soon as it is made.
  struct Probe final : EventLoop::Handler {
    void OnReady(uint32_t events) override;

    const ConnectionContext* context = nullptr;
    Upstream* upstream = nullptr;
    UniqueFd socket;  // While there is no answer.
  };

  void BeginRound();
  void EndRound();
  void Begin(Upstream* upstream);
  bool IsProbed(const Upstream* upstream) const;

  const ConnectionContext* const context_;
  const absl::Duration interval_;
  Timer round_timer_;
  std::shared_ptr<const RouteTable> table_;  // Of this round; keeps its upstreams.
  std::vector<std::unique_ptr<Probe>> probes_;
  size_t next_ = 0;  // Where in the table's upstreams the next round begins.
};

}  // namespace berth::edge
