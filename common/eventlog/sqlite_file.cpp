#include "common/eventlog/sqlite_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <initializer_list>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// What the file says it is ("Brth", in its header, where file(1) looks too), and the version of the
// schema below.
constexpr int64_t kApplicationId = 0x42727468;
constexpr int64_t kFormat = 1;

constexpr char kSchema[] = R"sql(
  CREATE TABLE log (stream TEXT NOT NULL) STRICT;
  CREATE TABLE records (
    position INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    bytes BLOB NOT NULL
  ) STRICT;
  CREATE TABLE rows (
    key BLOB PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
  ) STRICT;
)sql";

// Files up to this size are checked whole when they are opened, which takes about a tenth of a
// second. A larger log would start too late; its records are checked as they are read.
constexpr int64_t kCheckedBytesMax = int64_t{64} << 20;

// Settings of the connection, which the file does not remember.
constexpr char kSettings[] = R"sql(
  PRAGMA synchronous = FULL;
  PRAGMA secure_delete = ON;
  PRAGMA cell_size_check = ON;
  PRAGMA trusted_schema = OFF;
  PRAGMA mmap_size = 0;
)sql";

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

// The file's size, or nullopt where there is none.
absl::StatusOr<std::optional<int64_t>> SizeOf(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0) return std::optional<int64_t>(status.st_size);
  if (errno == ENOENT) return std::optional<int64_t>();
  return Failed("read", path);
}

// Until the folder is on disk a power cut may undo what was made in it.
absl::Status SyncFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
  if (folder.empty()) folder = "/";
  const UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Failed("open the folder", folder);
  BERTH_CHECK_MESSAGE(fsync(fd.get()) == 0, absl::StrCat(folder,
                                                         ": a failed fsync cannot be "
                                                         "repeated; check the disk"));
  return absl::OkStatus();
}

// Makes the file under a name of its own and gives it the real one when it is complete and durable,
// so that a file that is empty or has no tables is never ours half-made, but a damaged one.
absl::Status Make(const std::string& path, const std::string& stream, const std::string& vfs) {
  const std::string unfinished = absl::StrCat(path, ".new");
  for (const char* suffix : {"", "-journal", "-wal", "-shm"}) {
    unlink(absl::StrCat(unfinished, suffix).c_str());
  }
  {
    // SQLite would make the file too, but as the umask says.
    const UniqueFd fd(
        open(unfinished.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) return Failed("make", unfinished);
    if (fchmod(fd.get(), 0600) != 0) return Failed("set the mode of", unfinished);
  }
  {
    BERTH_ASSIGN_OR_RETURN(SqliteConnection connection, SqliteConnection::Open(unfinished, vfs));
    BERTH_RETURN_IF_ERROR(connection.Run(kSettings));
    BERTH_RETURN_IF_ERROR(connection.Run("BEGIN"));
    BERTH_RETURN_IF_ERROR(connection.Run(kSchema));
    BERTH_RETURN_IF_ERROR(connection.Run(absl::StrCat("PRAGMA application_id = ", kApplicationId,
                                                      "; PRAGMA user_version = ", kFormat)));
    BERTH_ASSIGN_OR_RETURN(SqliteStatement name,
                           connection.Prepare("INSERT INTO log (stream) VALUES (?1)"));
    BERTH_RETURN_IF_ERROR(name.BindText(1, stream).Run());
    // Synced here, since the file is still in rollback mode, with its journal gone.
    BERTH_RETURN_IF_ERROR(connection.Run("COMMIT"));
  }
  if (rename(unfinished.c_str(), path.c_str()) != 0) return Failed("make", path);
  return SyncFolderOf(path);
}

// Refuses what is not the log of `stream` in this format, before anything is written into it.
absl::Status CheckIdentity(SqliteConnection& connection, const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const int64_t application,
                         connection.QueryNumber("PRAGMA application_id"));
  if (application != kApplicationId) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is not an event log of Berth; name another file"));
  }
  BERTH_ASSIGN_OR_RETURN(const int64_t format, connection.QueryNumber("PRAGMA user_version"));
  if (format != kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " has format ", format, ", and this version of Berth knows format ",
                     kFormat, "; run the version of Berth that wrote it, or a newer one"));
  }
  return absl::OkStatus();
}

// Finds damage that reading would not meet, or would meet as something missing. After a checkpoint
// the file is whole by itself.
absl::Status CheckStructure(SqliteConnection& connection, const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const std::optional<int64_t> found, SizeOf(path));
  const int64_t size = found.value_or(0);
  BERTH_ASSIGN_OR_RETURN(const int64_t pages, connection.QueryNumber("PRAGMA page_count"));
  BERTH_ASSIGN_OR_RETURN(const int64_t page_size, connection.QueryNumber("PRAGMA page_size"));
  if (size < pages * page_size) {
    return absl::DataLossError(absl::StrCat(path, " is cut short: it has ", size, " of ",
                                            pages * page_size, " bytes; restore a backup"));
  }
  if (size > kCheckedBytesMax) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const std::string verdict, connection.QueryText("PRAGMA quick_check(1)"));
  if (verdict == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, " is damaged: ", verdict, "; restore a backup"));
}

absl::Status CheckStream(SqliteConnection& connection, const std::string& path,
                         const std::string& stream) {
  BERTH_ASSIGN_OR_RETURN(const std::string stored, connection.QueryText("SELECT stream FROM log"));
  if (stored != stream) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is the event log of ", stored,
                                                      ", not of ", stream, "; name another file"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SqliteConnection> OpenSqliteFile(const std::string& path, const std::string& stream,
                                                const std::string& vfs) {
  BERTH_ASSIGN_OR_RETURN(const std::optional<int64_t> size, SizeOf(path));
  if (!size.has_value()) {
    // SQLite would write an old write-ahead log into a new file beside it.
    const std::string log = absl::StrCat(path, "-wal");
    BERTH_ASSIGN_OR_RETURN(const std::optional<int64_t> log_size, SizeOf(log));
    if (log_size.has_value()) {
      return absl::DataLossError(
          absl::StrCat(path, " is missing, but ", log,
                       " is there; restore a backup, or remove it to start anew"));
    }
    BERTH_RETURN_IF_ERROR(Make(path, stream, vfs));
  } else if (*size == 0) {
    return absl::DataLossError(
        absl::StrCat(path, " is empty; restore a backup, or remove it to start anew"));
  }
  BERTH_ASSIGN_OR_RETURN(SqliteConnection connection, SqliteConnection::Open(path, vfs));
  BERTH_RETURN_IF_ERROR(CheckIdentity(connection, path));
  BERTH_RETURN_IF_ERROR(connection.Run(kSettings));
  BERTH_ASSIGN_OR_RETURN(const std::string mode, connection.QueryText("PRAGMA journal_mode = WAL"));
  if (mode != "wal") {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " cannot have a write-ahead log; put it on a local file system"));
  }
  // A process that was killed may have left commits that the kernel has and the disk has not yet.
  // Served before they are durable, a power cut would take them back.
  BERTH_RETURN_IF_ERROR(connection.CheckpointLog(SqliteConnection::Checkpoint::kTruncate));
  // The write-ahead log's name, which SQLite syncs only with its first commit.
  BERTH_RETURN_IF_ERROR(SyncFolderOf(path));
  BERTH_RETURN_IF_ERROR(CheckStructure(connection, path));
  BERTH_RETURN_IF_ERROR(CheckStream(connection, path, stream));
  return connection;
}

absl::Status CheckSqliteFile(SqliteConnection& connection, const std::string& path,
                             const std::string& stream) {
  BERTH_RETURN_IF_ERROR(CheckIdentity(connection, path));
  return CheckStream(connection, path, stream);
}

}  // namespace berth
