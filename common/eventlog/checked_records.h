#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "berth/eventlog/v1/record.pb.h"
#include "common/eventlog/event_log.h"
#include "common/executor/thread_executor.h"
#include "common/sync/notification.h"

namespace berth {

// A log's records, one after another, for who applies many: while some are applied, those that
// follow are checked and parsed on a thread of this object's own, which is half of the work of a
// replay. The log is read on the caller's. Nobody sees when the other one works, so that what a
// simulation does is the same each time.
class CheckedRecords {
 public:
  // Those after `position`, whose record has this hash, `chunk` at a time. `log` outlives it.
  CheckedRecords(std::string stream, uint64_t position, std::string hash, size_t chunk,
                 LogReader* log);

  // Reads on. False: there was nothing more. kDataLoss: as ReadChained. Others as the log's.
  absl::StatusOr<bool> ReadOn();

  // How many are there, checked.
  size_t size() const { return size_; }
  // The next one; where size() is not 0.
  const StoredRecord& stored() const { return pieces_.front()->stored[next_]; }
  const eventlog::v1::Record& record() const { return pieces_.front()->records[next_]; }
  void Pop();

 private:
  struct Piece {
    std::vector<StoredRecord> stored;
    std::vector<eventlog::v1::Record> records;  // At least as many; their memory is used again.
    absl::Status status;
  };
  // A piece that is being checked, until `done`.
  struct Checking {
    std::unique_ptr<Piece> piece;
    Notification done;
  };

  absl::Status TakeChecked();
  // What follows `position`, whose record has this hash.
  absl::Status Check(Piece* piece, uint64_t position, std::string hash) const;

  const std::string stream_;
  const size_t chunk_;
  LogReader* const log_;
  uint64_t position_;  // Of the newest record that was read.
  std::string hash_;   // Of that record.
  std::deque<std::unique_ptr<Piece>> pieces_;
  size_t next_ = 0;  // In the first piece.
  size_t size_ = 0;  // In all pieces.
  std::vector<std::unique_ptr<Piece>> unused_;
  std::unique_ptr<Checking> checking_;
  ThreadExecutor checker_;  // Ends before what it works on does.
};

}  // namespace berth
