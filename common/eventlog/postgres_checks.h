#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/eventlog/postgres_transaction.h"

namespace berth {

// What has to be so of a PostgreSQL before logs are kept in it. Each is asked in a transaction, and
// may throw as that does.

// Whether the log's tables are in the schema that this user's own would be made in, whoever made
// them.
bool HasLogTables(PostgresTransaction& transaction);

// Whether this user may make them, or use those that are there. kFailedPrecondition: the message
// names the rights that are missing, and on what, as the command that gives them.
absl::Status CheckMayMakeLogTables(PostgresTransaction& transaction);
absl::Status CheckMayUseLogTables(PostgresTransaction& transaction);

// Makes this session's commits wait until they are on a disk, and returns why what the database
// confirms may be lost all the same, each with what to do. It is PostgreSQL that has these
// settings; another database has none of them and is taken at its word.
std::vector<std::string> MakeDurable(PostgresTransaction& transaction);

}  // namespace berth
