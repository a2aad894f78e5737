#include "common/eventlog/sqlite_queries.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/eventlog/read_limit.h"
#include "common/status/status_macros.h"

namespace berth {

absl::StatusOr<std::vector<StoredRecord>> ReadRecords(SqliteStatement& statement,
                                                      absl::string_view path,
                                                      absl::string_view stream, uint64_t after,
                                                      size_t count_max) {
  statement.Bind(1, static_cast<int64_t>(after)).Bind(2, static_cast<int64_t>(count_max));
  std::vector<StoredRecord> records;
  size_t bytes = 0;
  while (bytes < kReadBytesMax) {
    BERTH_ASSIGN_OR_RETURN(const bool has_row, statement.Step());
    if (!has_row) return records;
    const uint64_t expected = after + records.size() + 1;
    StoredRecord record{static_cast<uint64_t>(statement.Number(0)), statement.Bytes(2),
                        statement.Bytes(1)};
    if (record.position != expected) {
      statement.Reset();
      return absl::DataLossError(absl::StrCat(path, ": stream ", stream, ", position ", expected,
                                              " is missing; restore a backup"));
    }
    bytes += record.bytes.size();
    records.push_back(std::move(record));
  }
  statement.Reset();
  return records;
}

absl::StatusOr<LogReader::Rows> ReadRows(SqliteStatement& statement) {
  LogReader::Rows all;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool has_row, statement.Step());
    if (!has_row) return all;
    all.position = static_cast<uint64_t>(statement.Number(0));
    if (statement.Number(1) != 0) all.rows.emplace_back(statement.Bytes(2), statement.Bytes(3));
  }
}

absl::StatusOr<std::optional<std::string>> GetRow(SqliteStatement& statement,
                                                  absl::string_view key) {
  BERTH_ASSIGN_OR_RETURN(const bool has_row, statement.BindBlob(1, key).Step());
  if (!has_row) return std::optional<std::string>();
  std::optional<std::string> value = statement.Bytes(0);
  statement.Reset();
  return value;
}

}  // namespace berth
