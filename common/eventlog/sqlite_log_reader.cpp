#include "common/eventlog/sqlite_log_reader.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/eventlog/sqlite_file.h"
#include "common/eventlog/sqlite_queries.h"
#include "common/status/status_macros.h"

namespace berth {

absl::StatusOr<std::unique_ptr<SqliteLogReader>> SqliteLogReader::Open(const std::string& path,
                                                                       const std::string& stream) {
  if (access(path.c_str(), F_OK) != 0) {
    return absl::NotFoundError(absl::StrCat("there is no log ", path));
  }
  BERTH_ASSIGN_OR_RETURN(SqliteConnection connection, SqliteConnection::Open(path, ""));
  BERTH_RETURN_IF_ERROR(connection.Run("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF"));
  BERTH_RETURN_IF_ERROR(CheckSqliteFile(connection, path, stream));
  std::unique_ptr<SqliteLogReader> reader(new SqliteLogReader(path, stream, std::move(connection)));
  BERTH_ASSIGN_OR_RETURN(reader->read_records_, reader->connection_.Prepare(kReadRecordsSql));
  BERTH_ASSIGN_OR_RETURN(reader->read_rows_, reader->connection_.Prepare(kReadRowsSql));
  BERTH_ASSIGN_OR_RETURN(reader->get_row_, reader->connection_.Prepare(kGetRowSql));
  return reader;
}

absl::StatusOr<std::vector<StoredRecord>> SqliteLogReader::Read(uint64_t after, size_t count_max) {
  return ReadRecords(read_records_, path_, stream_, after, count_max);
}

absl::StatusOr<LogReader::Rows> SqliteLogReader::ReadRows() { return berth::ReadRows(read_rows_); }

absl::StatusOr<std::optional<std::string>> SqliteLogReader::GetRow(absl::string_view key) {
  return berth::GetRow(get_row_, key);
}

}  // namespace berth
