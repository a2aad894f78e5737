#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "berth/auth/v1/auth.pb.h"
#include "common/sync/mutex.h"
#include "common/watch/watch_hub.h"

namespace berth::rpc {

// The access watch in memory: whom the gate lets in. Safe from any thread.
class AccessView {
 public:
  // Sets or removes an entry, keyed as WatchAccess says. An entry that cannot be read is dropped:
  // whom it spoke for is not let in.
  void Set(const std::string& key, const std::optional<std::string>& value);

  // Replaces every entry at once: nobody who stays is refused meanwhile.
  void Replace(const TopicEntries& entries);

  // The entries are as of this position of auth's log; from the first call on, calls are let in.
  void Advance(uint64_t position);

  // Whether Advance was ever called.
  bool ready() const;
  uint64_t position() const;

  std::optional<auth::v1::Principal> FindPrincipal(const std::string& name) const;
  // By the hex BLAKE2b-256 of the token's secret part.
  std::optional<auth::v1::Token> FindToken(const std::string& hash) const;
  // By the 32-byte identity key.
  std::optional<auth::v1::Machine> FindMachine(const std::string& identity_key) const;

  // Calls `reached` once position() is at least `position`: at once, or from Advance. The result is
  // what StopWaiting takes; nullopt: so many wait already, and this one does not.
  std::optional<uint64_t> WhenAt(uint64_t position, std::function<void()> reached);

  // Forgets who waits, if they still do.
  void StopWaiting(uint64_t waiter);

  // `changed` is called after every Advance, without locks held.
  void OnChange(std::function<void()> changed);

 private:
  // Positions come from tokens that nobody has checked yet.
  static constexpr size_t kWaitersMax = 100;

  struct Waiter {
    uint64_t position;
    std::function<void()> reached;
  };

  void SetLocked(const std::string& key, const std::optional<std::string>& value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t position_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<std::string, auth::v1::Principal> principals_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, auth::v1::Token> tokens_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, auth::v1::Machine> machines_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Waiter> waiters_ ABSL_GUARDED_BY(mutex_);  // In the order they came.
  uint64_t waiters_so_far_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::function<void()>> listeners_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::rpc
