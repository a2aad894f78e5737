#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/eventlog/event_log.h"
#include "common/eventlog/postgres_database.h"

namespace berth {

// A stream in a PostgreSQL database, which several processes may have open: one leads, and the
// others read until they can take over. Every append checks in its own transaction, by the
// database's clock, that the lease is this process's still, and locks the lease's row, so that
// nobody takes it over before the append is done. (stream, position) is the primary key besides.
class PostgresEventLog : public EventLog {
 public:
  // `stream` is one of the database's streams. Their lease is one: taken through one log, it is
  // taken for all of them, and it ends with the last of the objects.
  PostgresEventLog(std::shared_ptr<PostgresDatabase> database, std::string stream);

  absl::Status TakeLease(const LeaseHolder& holder, absl::Duration duration) override;
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
  // The newest position; kAborted: the lease is not held.
  absl::StatusOr<uint64_t> CheckLease(PostgresTransaction& transaction, int64_t token);
  void InsertRecords(PostgresTransaction& transaction, absl::Span<const StoredRecord> records);
  void ChangeRows(PostgresTransaction& transaction, absl::Span<const RowChange> rows);
  absl::StatusOr<std::vector<StoredRecord>> ReadThrough(PostgresTransaction& transaction,
                                                        uint64_t after, uint64_t last);

  const std::shared_ptr<PostgresDatabase> database_;
  const std::string stream_;
  // Of the lease this log works under; nullopt when it has none, or knows that it lost it.
  std::optional<int64_t> token_;
  uint64_t begin_after_ = 0;  // The newest position of a log without records.
};

}  // namespace berth
