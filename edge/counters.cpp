#include "edge/counters.h"

namespace berth::edge {

absl::string_view NameOf(Count count) {
  switch (count) {
    case Count::kAccepted:
      return "accepted";
    case Count::kActive:
      return "active";
    case Count::kRouted:
      return "routed";
    case Count::kNoRoute:
      return "no_route";
    case Count::kNoUpstream:
      return "no_upstream";
    case Count::kNotTls:
      return "not_tls";
    case Count::kHelloMalformed:
      return "hello_malformed";
    case Count::kHelloTooLarge:
      return "hello_too_large";
    case Count::kHelloTimeouts:
      return "hello_timeouts";
    case Count::kHelloAbandoned:
      return "hello_abandoned";
    case Count::kConnectFailures:
      return "connect_failures";
    case Count::kConnectTimeouts:
      return "connect_timeouts";
    case Count::kIdleTimeouts:
      return "idle_timeouts";
    case Count::kResets:
      return "resets";
    case Count::kClosedWithUpstream:
      return "closed_with_upstream";
    case Count::kClosedAtEnd:
      return "closed_at_end";
    case Count::kOutOfDescriptors:
      return "out_of_descriptors";
    case Count::kLimitReached:
      return "limit_reached";
    case Count::kBytesToUpstreams:
      return "bytes_to_upstreams";
    case Count::kBytesToClients:
      return "bytes_to_clients";
  }
  return "unknown";
}

void Counters::AddTo(CounterSnapshot* sum) const {
  for (size_t i = 0; i < kCountsSize; ++i) {
    (*sum)[static_cast<Count>(i)] += values_[i].load(std::memory_order_relaxed);
  }
}

}  // namespace berth::edge
