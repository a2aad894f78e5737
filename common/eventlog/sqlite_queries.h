#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/eventlog/event_log.h"
#include "common/eventlog/sqlite_connection.h"

namespace berth {

// What the writer and readers of a SQLite log ask alike.

inline constexpr char kReadRecordsSql[] =
    "SELECT position, hash, bytes FROM records WHERE position > ?1 ORDER BY position LIMIT ?2";
inline constexpr char kGetRowSql[] = "SELECT value FROM rows WHERE key = ?1";
// One statement sees one moment. A log without rows gives one line without a key.
inline constexpr char kReadRowsSql[] =
    "SELECT p.position, r.key IS NOT NULL, r.key, r.value "
    "FROM (SELECT coalesce(max(position), 0) AS position FROM records) AS p "
    "LEFT JOIN rows AS r ON 1 ORDER BY r.key";

// `statement` is the prepared kReadRecordsSql; `path` and `stream` are for what is said of a gap.
absl::StatusOr<std::vector<StoredRecord>> ReadRecords(SqliteStatement& statement,
                                                      absl::string_view path,
                                                      absl::string_view stream, uint64_t after,
                                                      size_t count_max);
// `statement` is the prepared kReadRowsSql.
absl::StatusOr<LogReader::Rows> ReadRows(SqliteStatement& statement);
// `statement` is the prepared kGetRowSql.
absl::StatusOr<std::optional<std::string>> GetRow(SqliteStatement& statement,
                                                  absl::string_view key);

}  // namespace berth
