#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/eventlog/event_log.h"
#include "common/eventlog/file_lock.h"
#include "common/eventlog/sqlite_connection.h"

namespace berth {

// A stream in a SQLite file of its own: the default, with nothing to install and nothing to run.
//
// What Append stored is on the disk when it returns (a write-ahead log, synced by every commit).
// The lease is a lock on `path`.lock, taken when the file is opened and held until the object is
// gone, so two processes never have one log open; TakeLease only names the holder. Erased and
// replaced rows are overwritten in the file and leave the write-ahead log with the append that
// erased them, or with a later one while a reader (a backup) holds them up.
//
// A failed fsync(2) ends the process: see SqliteConnection.
class SqliteEventLog : public EventLog {
 public:
  // Opens the log of `stream` in the file `path`, making it (mode 0600) where there is none. All
  // that is found in it is durable before anything is read. `vfs` names a VFS registered with
  // SQLite; empty: SQLite's own.
  //
  // kUnavailable: another process has the log open, or a reader holds up making it durable.
  // kFailedPrecondition: the file is another program's, another stream's or a newer version's.
  // kDataLoss: the file is damaged, or parts of it are missing.
  static absl::StatusOr<std::unique_ptr<SqliteEventLog>> Open(const std::string& path,
                                                              const std::string& stream,
                                                              const std::string& vfs = "");

  absl::Status TakeLease(const LeaseHolder& holder, absl::Duration duration) override;
  bool LeaseEndsByItself() const override { return false; }
  absl::Status Append(uint64_t after, absl::Span<const StoredRecord> records,
                      absl::Span<const RowChange> rows) override;
  absl::StatusOr<bool> EraseThrough(uint64_t through, size_t count_max) override;
  void BeginAfter(uint64_t position) override { begin_after_ = position; }
  absl::StatusOr<std::vector<StoredRecord>> Read(uint64_t after, size_t count_max) override;
  absl::StatusOr<Rows> ReadRows() override;
  absl::StatusOr<std::optional<std::string>> GetRow(absl::string_view key) override;
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ListRows(
      absl::string_view prefix) override;

 private:
  struct Statements {
    SqliteStatement begin;
    SqliteStatement commit;
    SqliteStatement first_position;
    SqliteStatement last_position;
    SqliteStatement insert_record;
    SqliteStatement erase_records;
    SqliteStatement insert_row;
    SqliteStatement replace_row;
    SqliteStatement erase_row;
    SqliteStatement read_records;
    SqliteStatement read_rows;
    SqliteStatement get_row;
    SqliteStatement list_rows;
  };

  SqliteEventLog(std::string path, std::string stream, FileLock lock, SqliteConnection connection)
      : path_(std::move(path)),
        stream_(std::move(stream)),
        lock_(std::move(lock)),
        connection_(std::move(connection)) {}

  absl::Status PrepareStatements();
  absl::Status AppendInTransaction(uint64_t after, absl::Span<const StoredRecord> records,
                                   absl::Span<const RowChange> rows, bool* erased);
  // Whether an older value was erased or replaced.
  absl::StatusOr<bool> PutOrErase(const RowChange& row);
  absl::StatusOr<uint64_t> LastPosition();
  // What a statement gives that asks for one.
  static absl::StatusOr<uint64_t> PositionOf(SqliteStatement& statement);
  // Copies the write-ahead log into the file when it is time.
  void Checkpoint();

  const std::string path_;
  const std::string stream_;
  FileLock lock_;  // Before the connection, so that the file is closed before it is unlocked.
  SqliteConnection connection_;
  Statements statements_;
  bool lease_taken_ = false;
  uint64_t begin_after_ = 0;  // The newest position of a log without records.
  // The write-ahead log may hold rows that were erased since.
  bool log_holds_erased_ = false;
  absl::Status checkpoint_status_;  // Of the last one: a failure is logged when it begins.
};

}  // namespace berth
