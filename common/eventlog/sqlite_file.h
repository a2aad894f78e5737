#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/eventlog/sqlite_connection.h"

namespace berth {

// The file of a SqliteEventLog: made whole or not at all, and known again by whoever opens it.

// Opens the file of `stream` at `path`, making it where there is none; the caller holds its lock.
// All that is found in it is durable when this returns. Errors: see SqliteEventLog::Open.
absl::StatusOr<SqliteConnection> OpenSqliteFile(const std::string& path, const std::string& stream,
                                                const std::string& vfs);

// Refuses what is not the log of `stream` in a format that this version knows; reads only.
absl::Status CheckSqliteFile(SqliteConnection& connection, const std::string& path,
                             const std::string& stream);

}  // namespace berth
