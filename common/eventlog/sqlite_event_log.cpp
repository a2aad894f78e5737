#include "common/eventlog/sqlite_event_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/eventlog/sqlite_file.h"
#include "common/eventlog/sqlite_queries.h"
#include "common/log/log.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// The write-ahead log is copied into the file whenever it has grown by this many pages of 4 KiB:
// large enough that a commit seldom waits for it, small enough that a start, which copies what is
// left, takes no time.
constexpr int kCheckpointPages = 2'000;

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteEventLog>> SqliteEventLog::Open(const std::string& path,
                                                                     const std::string& stream,
                                                                     const std::string& vfs) {
  BERTH_ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(absl::StrCat(path, ".lock")));
  BERTH_ASSIGN_OR_RETURN(SqliteConnection connection, OpenSqliteFile(path, stream, vfs));
  std::unique_ptr<SqliteEventLog> log(
      new SqliteEventLog(path, stream, std::move(lock), std::move(connection)));
  BERTH_RETURN_IF_ERROR(log->PrepareStatements());
  return log;
}

absl::Status SqliteEventLog::PrepareStatements() {
  const std::pair<SqliteStatement*, const char*> all[] = {
      {&statements_.begin, "BEGIN IMMEDIATE"},
      {&statements_.commit, "COMMIT"},
      {&statements_.last_position, "SELECT coalesce(max(position), ?1) FROM records"},
      {&statements_.insert_record,
       "INSERT INTO records (position, hash, bytes) VALUES (?1, ?2, ?3)"},
      {&statements_.first_position, "SELECT coalesce(min(position), 0) FROM records"},
      {&statements_.erase_records, "DELETE FROM records WHERE position <= ?1"},
      {&statements_.insert_row, "INSERT INTO rows (key, value) VALUES (?1, ?2)"},
      {&statements_.replace_row, "UPDATE rows SET value = ?2 WHERE key = ?1"},
      {&statements_.erase_row, "DELETE FROM rows WHERE key = ?1"},
      {&statements_.read_records, kReadRecordsSql},
      {&statements_.read_rows, kReadRowsSql},
      {&statements_.get_row, kGetRowSql},
      {&statements_.list_rows, "SELECT key, value FROM rows WHERE key >= ?1 ORDER BY key"},
  };
  for (const auto& [statement, sql] : all) {
    BERTH_ASSIGN_OR_RETURN(*statement, connection_.Prepare(sql));
  }
  return absl::OkStatus();
}

absl::Status SqliteEventLog::TakeLease(const LeaseHolder& holder, absl::Duration) {
  lock_.NameHolder(holder.name);
  lease_taken_ = true;
  return absl::OkStatus();
}

absl::Status SqliteEventLog::Append(uint64_t after, absl::Span<const StoredRecord> records,
                                    absl::Span<const RowChange> rows) {
  if (!lease_taken_) {
    return absl::AbortedError(absl::StrCat("the lease of stream ", stream_, " is not held"));
  }
  BERTH_RETURN_IF_ERROR(statements_.begin.Run());
  bool erased = false;
  absl::Status status = AppendInTransaction(after, records, rows, &erased);
  if (status.ok()) status = statements_.commit.Run();
  if (!status.ok()) {
    connection_.Rollback();
    return status;
  }
  log_holds_erased_ = log_holds_erased_ || erased;
  Checkpoint();
  return absl::OkStatus();
}

absl::Status SqliteEventLog::AppendInTransaction(uint64_t after,
                                                 absl::Span<const StoredRecord> records,
                                                 absl::Span<const RowChange> rows, bool* erased) {
  BERTH_ASSIGN_OR_RETURN(const uint64_t last, LastPosition());
  if (after != last) {
    return absl::AbortedError(
        absl::StrCat("stream ", stream_, " is at position ", last, ", not ", after));
  }
  uint64_t next = after + 1;
  for (const StoredRecord& record : records) {
    BERTH_CHECK(record.position == next);
    ++next;
    BERTH_RETURN_IF_ERROR(statements_.insert_record.Bind(1, static_cast<int64_t>(record.position))
                              .BindBlob(2, record.hash)
                              .BindBlob(3, record.bytes)
                              .Run());
  }
  for (const RowChange& row : rows) {
    BERTH_ASSIGN_OR_RETURN(const bool erased_one, PutOrErase(row));
    *erased = *erased || erased_one;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> SqliteEventLog::PutOrErase(const RowChange& row) {
  if (!row.value.has_value()) {
    BERTH_RETURN_IF_ERROR(statements_.erase_row.BindBlob(1, row.key).Run());
    return connection_.rows_changed() > 0;
  }
  BERTH_RETURN_IF_ERROR(statements_.replace_row.BindBlob(1, row.key).BindBlob(2, *row.value).Run());
  if (connection_.rows_changed() > 0) return true;
  BERTH_RETURN_IF_ERROR(statements_.insert_row.BindBlob(1, row.key).BindBlob(2, *row.value).Run());
  return false;
}

absl::StatusOr<bool> SqliteEventLog::EraseThrough(uint64_t through, size_t count_max) {
  if (!lease_taken_) {
    return absl::AbortedError(absl::StrCat("the lease of stream ", stream_, " is not held"));
  }
  // Nobody else writes, so what is read here is so until the records go.
  BERTH_ASSIGN_OR_RETURN(const uint64_t newest, LastPosition());
  BERTH_ASSIGN_OR_RETURN(const uint64_t oldest, PositionOf(statements_.first_position));
  if (newest == 0) return false;
  const uint64_t last = std::min(through, newest - 1);
  if (oldest > last || count_max == 0) return oldest <= last;
  const uint64_t end = last - oldest < count_max ? last : oldest + count_max - 1;
  BERTH_RETURN_IF_ERROR(statements_.erase_records.Bind(1, static_cast<int64_t>(end)).Run());
  Checkpoint();
  return end < last;
}

absl::StatusOr<uint64_t> SqliteEventLog::LastPosition() {
  statements_.last_position.Bind(1, static_cast<int64_t>(begin_after_));
  return PositionOf(statements_.last_position);
}

absl::StatusOr<uint64_t> SqliteEventLog::PositionOf(SqliteStatement& statement) {
  BERTH_ASSIGN_OR_RETURN(const bool has_row, statement.Step());
  BERTH_CHECK(has_row);
  const int64_t position = statement.Number(0);
  statement.Reset();
  return static_cast<uint64_t>(position);
}

void SqliteEventLog::Checkpoint() {
  using Kind = SqliteConnection::Checkpoint;
  if (!log_holds_erased_ && connection_.log_pages() < kCheckpointPages) return;
  const absl::Status status =
      connection_.CheckpointLog(log_holds_erased_ ? Kind::kTryTruncate : Kind::kPassive);
  if (status.ok()) {
    log_holds_erased_ = false;
  } else if (checkpoint_status_.ok()) {
    // The append is durable all the same, so this is no error of it; the next one tries again.
    LogWarning("the write-ahead log cannot be copied into its file",
               {{"file", path_}, {"why", status.message()}});
  }
  checkpoint_status_ = status;
}

absl::StatusOr<std::vector<StoredRecord>> SqliteEventLog::Read(uint64_t after, size_t count_max) {
  return ReadRecords(statements_.read_records, path_, stream_, after, count_max);
}

absl::StatusOr<LogReader::Rows> SqliteEventLog::ReadRows() {
  return berth::ReadRows(statements_.read_rows);
}

absl::StatusOr<std::optional<std::string>> SqliteEventLog::GetRow(absl::string_view key) {
  return berth::GetRow(statements_.get_row, key);
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> SqliteEventLog::ListRows(
    absl::string_view prefix) {
  SqliteStatement& statement = statements_.list_rows;
  statement.BindBlob(1, prefix);
  std::vector<std::pair<std::string, std::string>> rows;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool has_row, statement.Step());
    if (!has_row) return rows;
    std::string key = statement.Bytes(0);
    if (!absl::StartsWith(key, prefix)) {
      statement.Reset();
      return rows;
    }
    rows.emplace_back(std::move(key), statement.Bytes(1));
  }
}

}  // namespace berth
