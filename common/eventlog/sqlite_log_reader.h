#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/eventlog/event_log.h"
#include "common/eventlog/sqlite_connection.h"

namespace berth {

// Reads the log that a SqliteEventLog, of this process or another, has in a file, while that goes
// on writing. It takes no lock that the writer waits for, and writes nothing. No call leaves a
// read open, so that erased rows leave the write-ahead log soon.
class SqliteLogReader : public LogReader {
 public:
  // kNotFound: there is no such file. kFailedPrecondition: it is no log of `stream` that this
  // version reads.
  static absl::StatusOr<std::unique_ptr<SqliteLogReader>> Open(const std::string& path,
                                                               const std::string& stream);

  absl::StatusOr<std::vector<StoredRecord>> Read(uint64_t after, size_t count_max) override;
  absl::StatusOr<Rows> ReadRows() override;
  absl::StatusOr<std::optional<std::string>> GetRow(absl::string_view key) override;

 private:
  SqliteLogReader(std::string path, std::string stream, SqliteConnection connection)
      : path_(std::move(path)), stream_(std::move(stream)), connection_(std::move(connection)) {}

  const std::string path_;
  const std::string stream_;
  SqliteConnection connection_;
  SqliteStatement read_records_;
  SqliteStatement read_rows_;
  SqliteStatement get_row_;
};

}  // namespace berth
