#include "edge/upstream_picker.h"

#include <algorithm>
#include <tuple>

namespace berth::edge {

Upstream* PickUpstream(absl::Span<Upstream* const> upstreams, BalancePolicy policy,
                       absl::Duration now, absl::Span<Upstream* const> tried) {
  Upstream* best = nullptr;
  std::tuple<bool, uint32_t, uint64_t> best_rank;
  for (Upstream* upstream : upstreams) {
    if (std::find(tried.begin(), tried.end(), upstream) != tried.end()) continue;
    const uint32_t load = policy == BalancePolicy::kLeastConnections ? upstream->connections() : 0;
    // The turn stands in the upstream, not in the table: taking turns survives a change of tables.
    const std::tuple rank(upstream->IsEjected(now), load, upstream->last_turn());
    if (best != nullptr && best_rank <= rank) continue;
    best = upstream;
    best_rank = rank;
  }
  return best;
}

}  // namespace berth::edge
