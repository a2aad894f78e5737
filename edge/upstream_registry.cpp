#include "edge/upstream_registry.h"

#include <map>
#include <set>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "common/check/check.h"

namespace berth::edge {

void Upstream::ConnectSucceeded() {
  // Nearly always so already: a read keeps the cache line shared between the loops.
  if (IsKnownToAnswer()) return;
  answered_.store(true, std::memory_order_relaxed);
  connect_failures_.store(0, std::memory_order_relaxed);
  ejected_until_ns_.store(0, std::memory_order_relaxed);
}

void Upstream::ConnectFailed(absl::Duration now) {
  const uint32_t failures = connect_failures_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (failures < kConnectFailuresMax) return;
  ejected_until_ns_.store(absl::ToInt64Nanoseconds(now + kEjectionTime), std::memory_order_relaxed);
}

bool Upstream::IsEjected(absl::Duration now) const {
  const int64_t until_ns = ejected_until_ns_.load(std::memory_order_relaxed);
  return until_ns != 0 && absl::ToInt64Nanoseconds(now) < until_ns;
}

size_t UpstreamRegistry::Hash::operator()(const Key& key) const {
  return absl::HashOf(key.id, key.address);
}

size_t UpstreamRegistry::Hash::operator()(const std::unique_ptr<Upstream>& upstream) const {
  return (*this)(Key{upstream->id(), upstream->address()});
}

bool UpstreamRegistry::Equal::operator()(const std::unique_ptr<Upstream>& a,
                                         const std::unique_ptr<Upstream>& b) const {
  return (*this)(a, Key{b->id(), b->address()});
}

bool UpstreamRegistry::Equal::operator()(const std::unique_ptr<Upstream>& upstream,
                                         const Key& key) const {
  return upstream->id() == key.id && upstream->address() == key.address;
}

Upstream* UpstreamRegistry::HoldForTable(absl::string_view id, const PackedAddress& address) {
  const MutexLock lock(&mutex_);
  auto found = upstreams_.find(Key{id, address});
  if (found == upstreams_.end()) {
    found = upstreams_.insert(std::make_unique<Upstream>(std::string(id), address)).first;
  }
  (*found)->tables_.fetch_add(1, std::memory_order_relaxed);
  return found->get();
}

void UpstreamRegistry::ReleaseFromTable(const std::vector<Upstream*>& upstreams) {
  const MutexLock lock(&mutex_);
  for (Upstream* upstream : upstreams) {
    BERTH_CHECK(upstream->tables_.fetch_sub(1, std::memory_order_relaxed) > 0);
  }
  // What neither a table nor a connection holds can be reached by nobody any more: a connection
  // begins only under a table, and a table takes hold only under the mutex. Swept here rather than
  // when the last connection ends, so that the loops never take the mutex.
  absl::erase_if(upstreams_, [](const std::unique_ptr<Upstream>& upstream) {
    return upstream->tables_.load(std::memory_order_relaxed) == 0 &&
           upstream->connections_.load(std::memory_order_acquire) == 0;
  });
}

void UpstreamRegistry::BeginConnection(Upstream* upstream) {
  upstream->connections_.fetch_add(1, std::memory_order_relaxed);
  upstream->last_turn_.store(turn_.fetch_add(1, std::memory_order_relaxed) + 1,
                             std::memory_order_relaxed);
}

void UpstreamRegistry::EndConnection(Upstream* upstream) {
  // Release: whoever sees the last connection gone may free the upstream.
  BERTH_CHECK(upstream->connections_.fetch_sub(1, std::memory_order_release) > 0);
}

std::vector<std::pair<std::string, size_t>> UpstreamRegistry::ConnectionsPerUpstream() const {
  std::map<std::string, size_t> connections;
  const MutexLock lock(&mutex_);
  for (const std::unique_ptr<Upstream>& upstream : upstreams_) {
    const uint32_t count = upstream->connections();
    if (count > 0) connections[upstream->id()] += count;
  }
  return {connections.begin(), connections.end()};
}

std::vector<std::string> UpstreamRegistry::UpstreamsNotReached() const {
  std::set<std::string> ids;
  const MutexLock lock(&mutex_);
  for (const std::unique_ptr<Upstream>& upstream : upstreams_) {
    const bool in_table = upstream->tables_.load(std::memory_order_relaxed) > 0;
    if (in_table && !upstream->IsReached()) ids.insert(upstream->id());
  }
  return {ids.begin(), ids.end()};
}

size_t UpstreamRegistry::size() const {
  const MutexLock lock(&mutex_);
  return upstreams_.size();
}

}  // namespace berth::edge
