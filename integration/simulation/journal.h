#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/eventlog/event_log.h"
#include "integration/simulation/process.h"
#include "integration/simulation/world.h"

namespace berth::simulation {

// What is known to be in a stream for good: every record that a log said it stored, or gave to
// whoever read it. It outlives the processes, and fails the world where a log takes something back.
class Journal {
 public:
  struct Entry {
    StoredRecord record;
    absl::Duration known;  // Since when.
  };

  Journal(World* world, std::string stream) : world_(world), stream_(std::move(stream)) {}

  const std::string& stream() const { return stream_; }
  const std::vector<Entry>& entries() const { return entries_; }

  // Called for each new entry, in order: invariants that hold after every event.
  void SetObserver(std::function<void(const StoredRecord&)> observer) {
    observer_ = std::move(observer);
  }

  // A log said so.
  void Stored(const std::vector<StoredRecord>& records);
  // A log answered a read of what follows `after` with these.
  void Found(uint64_t after, const std::vector<StoredRecord>& records);

 private:
  void Learn(const StoredRecord& record);

  World* const world_;
  const std::string stream_;
  std::vector<Entry> entries_;  // That at position n is entries_[n - 1].
  std::function<void(const StoredRecord&)> observer_;
};

// What a process's logs do beside storing: they take time, and the process may stop or be killed
// meanwhile.
struct LogFaults {
  absl::Duration append_least = absl::Microseconds(50);
  absl::Duration append_most = absl::Microseconds(500);
  // The next append: the process stands still before it, as SIGSTOP does it.
  absl::Duration stop_before_next;
  // The process dies with the next append: just before it, or just after.
  bool die_before_next = false;
  bool die_after_next = false;
  // It cannot be reached from this process, while others reach it.
  bool cut_off = false;
  // Called by the next append once the log below has answered it, before anybody hears of that.
  std::function<void()> after_next;
};

// The log of one life: tells the journal what the log below says, and takes time. What a process
// asks of it fails that is dying or cut off.
class WitnessedLog : public EventLog {
 public:
  // Everything outlives it.
  WitnessedLog(std::unique_ptr<EventLog> log, Life* life, Journal* journal, LogFaults* faults);

  absl::Status TakeLease(const LeaseHolder& holder, absl::Duration duration) override;
  bool LeaseEndsByItself() const override { return log_->LeaseEndsByItself(); }
  absl::Status Append(uint64_t after, absl::Span<const StoredRecord> records,
                      absl::Span<const RowChange> rows) override;
  absl::StatusOr<bool> EraseThrough(uint64_t through, size_t count_max) override;
  void BeginAfter(uint64_t position) override { log_->BeginAfter(position); }
  absl::StatusOr<std::vector<StoredRecord>> Read(uint64_t after, size_t count_max) override;
  absl::StatusOr<Rows> ReadRows() override;
  absl::StatusOr<std::optional<std::string>> GetRow(absl::string_view key) override;
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ListRows(
      absl::string_view prefix) override;

 private:
  absl::Status Reached() const;

  const std::unique_ptr<EventLog> log_;
  Life* const life_;
  Journal* const journal_;
  LogFaults* const faults_;
};

}  // namespace berth::simulation
