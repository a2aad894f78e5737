#include "common/eventlog/sqlite_connection.h"

#include <sqlite3.h>

#include <cerrno>
#include <climits>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// How long a statement waits for another program's lock. Only people's tools and backups take any
// beside us, and briefly; a longer wait would hold up every caller of the service.
constexpr int kBusyTimeoutMilliseconds = 2'000;

std::string FileOf(sqlite3* connection) {
  const char* file = sqlite3_db_filename(connection, "main");
  return file == nullptr || *file == '\0' ? "the database" : file;
}

// The status of a call that returned `code`, which is not SQLITE_OK, ROW or DONE.
absl::Status StatusOf(sqlite3* connection, int code) {
  const int extended = (code & 0xff) == code ? sqlite3_extended_errcode(connection) : code;
  const int system_error = sqlite3_system_errno(connection);
  const std::string message = absl::StrCat(FileOf(connection), ": ", sqlite3_errmsg(connection));
  BERTH_CHECK_MESSAGE(extended != SQLITE_IOERR_FSYNC && extended != SQLITE_IOERR_DIR_FSYNC,
                      absl::StrCat(message,
                                   ": a failed fsync cannot be repeated, so what is on "
                                   "the disk is not known; check the disk"));
  switch (extended & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_CONSTRAINT:
      return absl::AbortedError(message);
    case SQLITE_IOERR:
      if (extended == SQLITE_IOERR_CORRUPTFS || extended == SQLITE_IOERR_DATA) {
        return absl::DataLossError(message);
      }
      // The shared-memory file that goes with a write-ahead log says so when it cannot grow.
      if (system_error == ENOSPC || system_error == EDQUOT) {
        return absl::ResourceExhaustedError(message);
      }
      return absl::UnavailableError(message);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return absl::FailedPreconditionError(message);
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      CheckFailed(__FILE__, __LINE__, "SQLite is used as documented", message);
    default:
      return absl::UnavailableError(message);
  }
}

int NoteLogPages(void* log_pages, sqlite3*, const char*, int pages) {
  *static_cast<int*>(log_pages) = pages;
  return SQLITE_OK;
}

}  // namespace

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

SqliteStatement& SqliteStatement::Bind(int parameter, int64_t number) {
  BERTH_CHECK(sqlite3_bind_int64(statement_.get(), parameter, number) == SQLITE_OK);
  return *this;
}

SqliteStatement& SqliteStatement::BindBlob(int parameter, absl::string_view bytes) {
  // A null pointer would bind NULL, which an empty blob is not.
  const char* data = bytes.empty() ? "" : bytes.data();
  BERTH_CHECK(sqlite3_bind_blob64(statement_.get(), parameter, data, bytes.size(), SQLITE_STATIC) ==
              SQLITE_OK);
  return *this;
}

SqliteStatement& SqliteStatement::BindText(int parameter, absl::string_view text) {
  BERTH_CHECK(sqlite3_bind_text64(statement_.get(), parameter, text.empty() ? "" : text.data(),
                                  text.size(), SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK);
  return *this;
}

absl::StatusOr<bool> SqliteStatement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    Reset();
    return false;
  }
  absl::Status status = StatusOf(sqlite3_db_handle(statement_.get()), code);
  Reset();
  return status;
}

int64_t SqliteStatement::Number(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string SqliteStatement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (data == nullptr) return "";
  return std::string(static_cast<const char*>(data), static_cast<size_t>(size));
}

absl::Status SqliteStatement::Run() {
  BERTH_ASSIGN_OR_RETURN(const bool has_row, Step());
  BERTH_CHECK(!has_row);
  return absl::OkStatus();
}

void SqliteStatement::Reset() {
  // Reports the last step's error again, which its caller has.
  sqlite3_reset(statement_.get());
}

void SqliteConnection::Close::operator()(sqlite3* connection) const {
  sqlite3_close_v2(connection);
}

absl::StatusOr<SqliteConnection> SqliteConnection::Open(const std::string& path,
                                                        const std::string& vfs) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      vfs.empty() ? nullptr : vfs.c_str());
  BERTH_CHECK_MESSAGE(handle != nullptr, "out of memory");
  SqliteConnection connection(handle);
  if (code != SQLITE_OK) return StatusOf(handle, code);
  sqlite3_busy_timeout(handle, kBusyTimeoutMilliseconds);
  // Replaces SQLite's automatic checkpoints, which drop the errors they meet, a failed fsync too.
  sqlite3_wal_hook(handle, NoteLogPages, connection.log_pages_.get());
  return connection;
}

absl::StatusOr<SqliteStatement> SqliteConnection::Prepare(absl::string_view sql) {
  BERTH_CHECK(sql.size() <= INT_MAX);
  SqliteStatement statement;
  sqlite3_stmt* handle = nullptr;
  const int code = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (code != SQLITE_OK) return StatusOf(connection_.get(), code);
  statement.statement_.reset(handle);
  return statement;
}

absl::Status SqliteConnection::Run(absl::string_view sql) {
  const int code =
      sqlite3_exec(connection_.get(), std::string(sql).c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : StatusOf(connection_.get(), code);
}

absl::StatusOr<int64_t> SqliteConnection::QueryNumber(absl::string_view sql) {
  BERTH_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  BERTH_ASSIGN_OR_RETURN(const bool has_row, statement.Step());
  if (!has_row) return absl::DataLossError(absl::StrCat(FileOf(connection_.get()), ": no ", sql));
  return statement.Number(0);
}

absl::StatusOr<std::string> SqliteConnection::QueryText(absl::string_view sql) {
  BERTH_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  BERTH_ASSIGN_OR_RETURN(const bool has_row, statement.Step());
  if (!has_row) return absl::DataLossError(absl::StrCat(FileOf(connection_.get()), ": no ", sql));
  return statement.Bytes(0);
}

void SqliteConnection::Rollback() {
  if (sqlite3_get_autocommit(connection_.get()) != 0) return;
  const int code = sqlite3_exec(connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  // A transaction that can be neither finished nor undone would swallow whatever comes next.
  BERTH_CHECK_MESSAGE(
      sqlite3_get_autocommit(connection_.get()) != 0,
      absl::StrCat(FileOf(connection_.get()), ": rollback: ", sqlite3_errstr(code)));
}

int SqliteConnection::rows_changed() const { return sqlite3_changes(connection_.get()); }

absl::Status SqliteConnection::CheckpointLog(Checkpoint checkpoint) {
  const bool truncate = checkpoint != Checkpoint::kPassive;
  if (checkpoint == Checkpoint::kTryTruncate) sqlite3_busy_timeout(connection_.get(), 0);
  const int code = sqlite3_wal_checkpoint_v2(
      connection_.get(), "main", truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
      nullptr, nullptr);
  absl::Status status = code == SQLITE_OK ? absl::OkStatus() : StatusOf(connection_.get(), code);
  sqlite3_busy_timeout(connection_.get(), kBusyTimeoutMilliseconds);
  if (status.ok() && truncate) *log_pages_ = 0;
  return status;
}

}  // namespace berth
