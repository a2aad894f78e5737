#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace berth::edge {

// What is counted. All but kActive only grow.
enum class Count : uint8_t {
  kAccepted,
  kActive,      // Connections that have not ended, in whatever phase.
  kRouted,      // Reached an upstream.
  kNoRoute,     // No route takes the host name, or the lack of one.
  kNoUpstream,  // The route has no upstream, or none that could be reached.
  kNotTls,      // Another protocol on a port that has only host names.
  kHelloMalformed,
  kHelloTooLarge,
  kHelloTimeouts,    // Too slow to say where they want to go.
  kHelloAbandoned,   // Closed by the client before it had said that.
  kConnectFailures,  // Attempts at an upstream, timeouts included.
  kConnectTimeouts,
  kIdleTimeouts,
  kResets,              // Ended by an error on either side.
  kClosedWithUpstream,  // Ended because their upstream had to go.
  kClosedAtEnd,         // Ended because the data plane's drain deadline passed.
  kOutOfDescriptors,    // Pauses in accepting, and connections given up, for want of any.
  kLimitReached,        // Pauses in accepting because of connections_max.
  kBytesToUpstreams,    // PROXY headers included.
  kBytesToClients,
};
inline constexpr size_t kCountsSize = static_cast<size_t>(Count::kBytesToClients) + 1;

// snake_case, as metrics and logs write it.
absl::string_view NameOf(Count count);

// A sum over all loops, indexed by Count.
class CounterSnapshot {
 public:
  uint64_t operator[](Count count) const { return values_[static_cast<size_t>(count)]; }
  uint64_t& operator[](Count count) { return values_[static_cast<size_t>(count)]; }

 private:
  std::array<uint64_t, kCountsSize> values_ = {};
};

// The numbers of one loop: its thread changes them, any thread reads them.
class Counters {
 public:
  void Add(Count count, uint64_t amount) {
    // One writer: a load and a store are cheaper than a locked addition.
    std::atomic<uint64_t>& value = values_[static_cast<size_t>(count)];
    value.store(value.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void Increment(Count count) { Add(count, 1); }
  void Decrement(Count count) { Add(count, ~uint64_t{0}); }

  void AddTo(CounterSnapshot* sum) const;

 private:
  std::array<std::atomic<uint64_t>, kCountsSize> values_ = {};
};

}  // namespace berth::edge
