#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/sync/mutex.h"
#include "edge/packed_address.h"

namespace berth::edge {

// After this many connect failures in a row an upstream gets no connections for kEjectionTime. Once
// that has passed, a single further failure ejects it again.
inline constexpr uint32_t kConnectFailuresMax = 3;
inline constexpr absl::Duration kEjectionTime = absl::Seconds(10);

// Where a route's connections go, with what this edge has seen of it. One object for every route
// and table that names the same id and address, so that a new table forgets nothing. Owned by an
// UpstreamRegistry. Safe to use from any thread; the numbers are independent of one another.
class Upstream {
 public:
  Upstream(std::string id, const PackedAddress& address) : id_(std::move(id)), address_(address) {}

  const std::string& id() const { return id_; }
  const PackedAddress& address() const { return address_; }

  // Connections that were given to it and have not ended, those still being made included.
  uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }

  // Grows with every connection begun anywhere; 0 before the first.
  uint64_t last_turn() const { return last_turn_.load(std::memory_order_relaxed); }

  void ConnectSucceeded();
  // `now` is of the same monotonic clock as IsEjected's.
  void ConnectFailed(absl::Duration now);

  bool IsEjected(absl::Duration now) const;
  // Whether connecting has succeeded since it last failed, or was not tried yet.
  bool IsReached() const { return connect_failures_.load(std::memory_order_relaxed) == 0; }
  // The same, but not of one that was not tried yet.
  bool IsKnownToAnswer() const { return IsReached() && answered_.load(std::memory_order_relaxed); }

 private:
  friend class UpstreamRegistry;

  const std::string id_;
  const PackedAddress address_;
  std::atomic<uint32_t> tables_ = 0;  // Tables that hold it; changed under the registry's mutex.
  std::atomic<uint32_t> connections_ = 0;
  std::atomic<uint32_t> connect_failures_ = 0;  // Since it last succeeded.
  std::atomic<bool> answered_ = false;          // Connecting has succeeded once.
  std::atomic<int64_t> ejected_until_ns_ = 0;
  std::atomic<uint64_t> last_turn_ = 0;
};

// Every upstream that a table or a connection holds. Outlives both. Safe to use from any thread.
class UpstreamRegistry {
 public:
  UpstreamRegistry() = default;
  UpstreamRegistry(const UpstreamRegistry&) = delete;
  UpstreamRegistry& operator=(const UpstreamRegistry&) = delete;

  // The upstream of this id and address, held for a table until it is given to ReleaseFromTable.
  Upstream* HoldForTable(absl::string_view id, const PackedAddress& address);
  void ReleaseFromTable(const std::vector<Upstream*>& upstreams);

  // The caller holds a table with `upstream` while it begins, and ends each connection once.
  void BeginConnection(Upstream* upstream);
  void EndConnection(Upstream* upstream);

  // For reports. The connections of every upstream that has any, by id, in the order of ids.
  std::vector<std::pair<std::string, size_t>> ConnectionsPerUpstream() const;
  // The ids of those in a table that could not be connected to when last tried, in order.
  std::vector<std::string> UpstreamsNotReached() const;

  size_t size() const;

 private:
  struct Key {
    absl::string_view id;
    PackedAddress address;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const Key& key) const;
    size_t operator()(const std::unique_ptr<Upstream>& upstream) const;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const std::unique_ptr<Upstream>& a, const std::unique_ptr<Upstream>& b) const;
    bool operator()(const std::unique_ptr<Upstream>& upstream, const Key& key) const;
  };

  mutable Mutex mutex_;
  absl::flat_hash_set<std::unique_ptr<Upstream>, Hash, Equal> upstreams_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> turn_ = 0;
};

}  // namespace berth::edge
