#pragma once

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "edge/upstream_registry.h"

namespace berth::edge {

// How a route chooses among its upstreams.
enum class BalancePolicy : uint8_t {
  kLeastConnections,  // The fewest connections from this edge; among equals, in turn.
  kRoundRobin,        // In turn.
};

// The upstream for the next connection, or nullptr where every one was tried already. Ejected
// upstreams are passed over while there is another; when there is none, a try is better than a
// refusal. `tried` are those that this connection failed to reach. Pure but for the counters it
// reads.
Upstream* PickUpstream(absl::Span<Upstream* const> upstreams, BalancePolicy policy,
                       absl::Duration now, absl::Span<Upstream* const> tried);

}  // namespace berth::edge
