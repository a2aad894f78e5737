#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "common/clock/clock.h"
#include "common/eventlog/event_log.h"
#include "common/sync/mutex.h"

namespace berth {

// What MemoryEventLogs store into: the streams, rows and leases of a database, which outlives the
// processes that use it. A restart is a new MemoryEventLog on the same MemoryDatabase.
//
// It is PostgreSQL's model: several logs contend for a stream's lease, and it fails as a database
// does. Safe to use from any thread.
class MemoryDatabase {
 public:
  // `clock` outlives the database and says when leases end.
  explicit MemoryDatabase(const Clock* clock) : clock_(clock) {}
  MemoryDatabase(const MemoryDatabase&) = delete;
  MemoryDatabase& operator=(const MemoryDatabase&) = delete;

  enum class AppendFailure {
    kLostBeforeStored,  // kUnavailable, and nothing is stored.
    kLostAfterStored,   // kUnavailable, although everything is stored.
    kDiskFull,          // kResourceExhausted, and nothing is stored.
  };

  // The next append, to whatever stream, fails like this. Said several times, the appends after
  // that one fail too, in this order.
  void FailNextAppend(AppendFailure failure) ABSL_LOCKS_EXCLUDED(mutex_);

  // Forgets the stream's newest records, as a database does that fails over to a copy behind it.
  void LoseRecordsAfter(const std::string& stream, uint64_t position) ABSL_LOCKS_EXCLUDED(mutex_);

  // From Disconnect to Reconnect every call on every log is kUnavailable. Leases run on.
  void Disconnect() ABSL_LOCKS_EXCLUDED(mutex_);
  void Reconnect() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class MemoryEventLog;

  struct Stream {
    // That at position n is records[n - 1 - erased].
    std::vector<StoredRecord> records;
    uint64_t erased = 0;
    uint64_t newest() const { return erased + records.size(); }
    std::map<std::string, std::string> rows;
    LeaseHolder holder;
    uint64_t token = 0;  // Counts the leases given out; whoever has the last one may append.
    absl::Duration lease_ends = -absl::InfiniteDuration();  // On the clock's Monotonic.
  };

  absl::Status Reached() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  mutable Mutex mutex_;
  std::map<std::string, Stream> streams_ ABSL_GUARDED_BY(mutex_);
  std::deque<AppendFailure> append_failures_ ABSL_GUARDED_BY(mutex_);
  bool connected_ ABSL_GUARDED_BY(mutex_) = true;
};

// One process's log of one stream in a MemoryDatabase, for tests and simulations.
class MemoryEventLog : public EventLog {
 public:
  MemoryEventLog(std::shared_ptr<MemoryDatabase> database, std::string stream);
  ~MemoryEventLog() override;

  absl::Status TakeLease(const LeaseHolder& holder, absl::Duration duration) override;
  absl::Status Append(uint64_t after, absl::Span<const StoredRecord> records,
                      absl::Span<const RowChange> rows) override;
  absl::StatusOr<bool> EraseThrough(uint64_t through, size_t count_max) override;
  void BeginAfter(uint64_t position) override;
  absl::StatusOr<std::vector<StoredRecord>> Read(uint64_t after, size_t count_max) override;
  absl::StatusOr<Rows> ReadRows() override;
  absl::StatusOr<std::optional<std::string>> GetRow(absl::string_view key) override;
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ListRows(
      absl::string_view prefix) override;

 private:
  // Whether this object may write.
  absl::Status HoldsLease(const MemoryDatabase::Stream& stream) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(database_->mutex_);

  const std::shared_ptr<MemoryDatabase> database_;
  const std::string stream_;
  // Of the lease this object took last; nullopt when it has none, or knows that it lost it.
  std::optional<uint64_t> token_;
};

}  // namespace berth
