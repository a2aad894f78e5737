#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/eventlog/lease.h"

namespace berth {

// One record as a log stores it. The log does not look into the bytes: EventSourced makes and
// checks them.
struct StoredRecord {
  uint64_t position = 0;  // 1, 2, 3, … without gaps.
  std::string bytes;      // A serialised berth.eventlog.v1.Record.
  std::string hash;       // 32 bytes, chained over the record before.
};

// A row to put or to erase.
struct RowChange {
  std::string key;
  std::optional<std::string> value;  // nullopt erases; erasing what is not there succeeds.
};

// What a log holds, for whoever does not write it: readers beside the writer, on connections of
// their own, see what was durable when they read. An object is used from one thread at a time.
// Errors as EventLog's.
class LogReader {
 public:
  // Every row, and the position that they belong to: rows change with records.
  struct Rows {
    uint64_t position = 0;
    std::vector<std::pair<std::string, std::string>> rows;  // In byte order of the keys.
  };

  virtual ~LogReader() = default;

  // Up to `count_max` records that follow position `after`, in order; empty at the end of the log.
  // kDataLoss: the one at `after` + 1 is missing, but later ones are there.
  virtual absl::StatusOr<std::vector<StoredRecord>> Read(uint64_t after, size_t count_max) = 0;

  // All of them, as of one moment.
  virtual absl::StatusOr<Rows> ReadRows() = 0;

  // The row's value, or nullopt.
  virtual absl::StatusOr<std::optional<std::string>> GetRow(absl::string_view key) = 0;
};

// The durable, ordered history of one service (its stream), and the rows beside it: what must be
// erasable or re-wrappable and so cannot be in an immutable history (ciphertexts, keys, snapshots).
//
// One writer at a time: whoever holds the lease. An object is used from one thread at a time. Every
// implementation passes event_log_contract.h.
//
// Errors: kUnavailable — the log cannot be reached now, or another process holds the lease
// (LeaseHeldBy in lease.h); kAborted — the lease was lost, or the position is taken, so that the
// caller's picture of the log is wrong; kResourceExhausted — the disk is full; kDataLoss — what is
// stored cannot be right (the message names the stream and the position).
class EventLog : public LogReader {
 public:
  // Takes the lease, or renews it, for `duration` from some moment during this call; `holder` says
  // to others who this process is. A lease ends by itself, or with the object. Where the medium
  // allows only one process anyway (a file lock), it lasts as long as the object.
  virtual absl::Status TakeLease(const LeaseHolder& holder, absl::Duration duration) = 0;

  // Whether a lease ends by itself, so that another process may have it before this one notices.
  virtual bool LeaseEndsByItself() const { return true; }

  // Stores `records`, whose first position is `after` + 1, and `rows`, all or nothing, durably when
  // it returns OK. After an error other than kResourceExhausted it is unknown whether they are
  // stored: the caller reads the log again to find out. Needs the lease.
  virtual absl::Status Append(uint64_t after, absl::Span<const StoredRecord> records,
                              absl::Span<const RowChange> rows) = 0;

  // Erases the oldest records up to position `through`, at most `count_max` of them, and never the
  // newest record of all. True: there are more. Which records a log has lost on purpose is said by
  // a row that was put before (log_begin.h); to Read they are missing. Needs the lease.
  virtual absl::StatusOr<bool> EraseThrough(uint64_t through, size_t count_max) = 0;

  // Of a log that has no record, for this object only: the first one will be at `position` + 1. For
  // who restores a log that was cut.
  virtual void BeginAfter(uint64_t position) = 0;

  // Every row whose key begins with `prefix`, in byte order of the keys.
  virtual absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ListRows(
      absl::string_view prefix) = 0;
};

}  // namespace berth
