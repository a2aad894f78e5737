#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "berth/eventlog/v1/record.pb.h"
#include "berth/eventlog/v1/snapshot.pb.h"
#include "common/eventlog/event_log.h"
#include "common/eventlog/logged_state.h"

namespace berth {

// Verifies a log: reads it from where it begins, whatever snapshots there are, checks that each
// record chains, makes a new state of the events by the code that starts do, and compares that, at
// the positions they are of, with the newest snapshot, with what the state says of the rows, and
// with a state that a service has. Of a log that was cut it also checks that its beginning is what
// the record of the cut says. It changes nothing.
//
// Errors: kDataLoss — the log, a row or a state is not what it has to be; the message names the
// stream, the position and what to do. kUnavailable — the log was cut meanwhile: verify it anew.
// Whatever the reader says.
class LogVerifier {
 public:
  // `state` is one before any event.
  LogVerifier(std::string stream, std::unique_ptr<LoggedState> state);

  // What the log has to give: the state that a service has, and the rows that are there now, the
  // snapshot among them. Before the first Step; each at most once. Rows that are damaged are found
  // out by Step, after the records.
  void ExpectServed(SavedState served) { served_ = std::move(served); }
  absl::Status ExpectRowsOf(LogReader* reader);

  // Reads on, at most `count_max` records. False: all that is expected was reached and found, and
  // the log ends here.
  absl::StatusOr<bool> Step(LogReader* reader, size_t count_max);

  // How far it is, and how far it has to go at least.
  uint64_t position() const { return position_; }
  uint64_t expected_end() const;
  // Of the record at position().
  const std::string& hash() const { return hash_; }
  // Of the newest record that was cut off; 0: the log is whole.
  uint64_t cut_position() const { return begin_.position(); }
  // Of the snapshot that was compared, or is going to be; 0: none of this version's was found.
  uint64_t snapshot_position() const { return snapshot_.has_value() ? snapshot_->position : 0; }

 private:
  absl::Status Begin(LogReader* reader);
  absl::StatusOr<bool> ReadOn(LogReader* reader, size_t count_max);
  absl::Status Take(const StoredRecord& stored);
  // What is expected at this position.
  absl::Status Compare() const;
  absl::Status CompareWith(const SavedState& saved, const std::string& difference) const;
  absl::Status Fault(uint64_t position, const std::string& what) const;

  std::string stream_;
  std::unique_ptr<LoggedState> state_;
  bool begun_ = false;
  eventlog::v1::LogBegin begin_;
  bool begin_recorded_ = false;  // A record says that the log was cut there.
  uint64_t position_ = 0;
  std::string hash_;
  eventlog::v1::Record record_;  // The newest; its memory is used again.
  std::optional<SavedState> served_;
  std::optional<SavedState> snapshot_;
  // Why the snapshot's row, or all of them, cannot be read.
  absl::Status snapshot_fault_;
  absl::Status rows_fault_;
  RowsByKey rows_;
  std::optional<uint64_t> rows_position_;
};

}  // namespace berth
