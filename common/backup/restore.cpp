#include "common/backup/restore.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "berth/eventlog/v1/record.pb.h"
#include "common/backup/unpack.h"
#include "common/eventlog/log_begin.h"
#include "common/eventlog/log_verifier.h"
#include "common/eventlog/record_chain.h"
#include "common/net/unique_fd.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth {
namespace {

namespace fs = std::filesystem;

constexpr char kRestorer[] = "berth server restore";
constexpr char kLogRestored[] = "LogRestored";
constexpr size_t kVerifiedAtOnce = 1'000;  // Records.
constexpr size_t kCopiedAtOnce = 1'000;    // Records; and as many bytes as a read gives at once.
// Of a log elsewhere, renewed with each piece that is copied.
constexpr absl::Duration kLease = absl::Minutes(10);

absl::Status CheckIsFree(const std::string& folder) {
  std::error_code error;
  if (!fs::exists(folder, error) || fs::is_empty(folder, error)) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat(folder,
                   " is not empty, and nothing in it is replaced; stop the server that it "
                   "belongs to, and move the folder away"));
}

// A folder for what is not restored yet, on the same disk; it goes with the object unless Keep
// gives it its name.
class UnfinishedFolder {
 public:
  static absl::StatusOr<UnfinishedFolder> Make(const std::string& folder) {
    std::error_code error;
    fs::create_directories(fs::path(folder).parent_path(), error);
    std::string path = absl::StrCat(folder, ".restoring-XXXXXX");
    if (error || mkdtemp(path.data()) == nullptr) {  // Mode 0700.
      return absl::FailedPreconditionError(
          absl::StrCat("cannot make ", path, ": ",
                       error ? error.message() : std::generic_category().message(errno)));
    }
    return UnfinishedFolder(std::move(path));
  }
  UnfinishedFolder(UnfinishedFolder&& other) noexcept
      : path_(std::exchange(other.path_, std::string())) {}
  ~UnfinishedFolder() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
  }

  const std::string& path() const { return path_; }

  absl::Status Keep(const std::string& folder) {
    const UniqueFd own(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own.valid() || syncfs(own.get()) != 0) return Failed("sync", path_);
    // An empty folder of that name is replaced, and no other one.
    if (rename(path_.c_str(), folder.c_str()) != 0) return Failed("make", folder);
    path_.clear();
    const std::string parent = fs::path(folder).parent_path().string();
    const UniqueFd above(
        open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!above.valid() || fsync(above.get()) != 0) return Failed("sync", parent);
    return absl::OkStatus();
  }

 private:
  explicit UnfinishedFolder(std::string path) : path_(std::move(path)) {}

  static absl::Status Failed(absl::string_view what, const std::string& path) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
  }

  std::string path_;
};

// Verifies the log, and adds the record that says that it was restored.
absl::Status Complete(const std::string& stream, std::unique_ptr<LoggedState> state, EventLog* log,
                      absl::Time now) {
  LogVerifier verifier(stream, std::move(state));
  BERTH_RETURN_IF_ERROR(verifier.ExpectRowsOf(log));
  bool more = true;
  while (more) {
    BERTH_ASSIGN_OR_RETURN(more, verifier.Step(log, kVerifiedAtOnce));
  }
  eventlog::v1::Record record;
  record.set_stream(stream);
  record.set_position(verifier.position() + 1);
  *record.mutable_time() = ToTimestamp(now);
  record.mutable_actor()->set_principal(kRestorer);
  record.set_method(kLogRestored);
  record.mutable_outcome();
  StoredRecord stored;
  stored.position = record.position();
  stored.bytes = record.SerializeAsString();
  stored.hash = ChainedHash(verifier.hash(), stored.bytes);
  return log->Append(verifier.position(), {stored}, {});
}

using Logs = std::map<std::string, std::unique_ptr<EventLog>>;

// Takes the logs that are restored to, none of which has anything.
absl::StatusOr<Logs> TakeEmptyLogs(const RestoreTarget& target) {
  Logs logs;
  if (target.open_log == nullptr) return logs;
  for (const std::string& stream : target.streams) {
    BERTH_ASSIGN_OR_RETURN(std::unique_ptr<EventLog> log, target.open_log(stream));
    BERTH_ASSIGN_OR_RETURN(const LogReader::Rows rows, log->ReadRows());
    if (rows.position != 0 || !rows.rows.empty()) {
      return absl::AlreadyExistsError(
          absl::StrCat("there is a log of ", stream,
                       " already, and nothing in it is replaced; restore to "
                       "another database, or drop Berth's tables"));
    }
    BERTH_RETURN_IF_ERROR(log->TakeLease({kRestorer}, kLease));
    logs[stream] = std::move(log);
  }
  return logs;
}

// Everything but the row that says that it is not whole yet.
absl::Status Copy(LogReader* from, EventLog* to) {
  const RowChange restoring = {kRestoringRowKey, std::string(kRestorer)};
  // To unpack and verify may have taken longer than the lease that was taken first.
  BERTH_RETURN_IF_ERROR(to->TakeLease({kRestorer}, kLease));
  BERTH_RETURN_IF_ERROR(to->Append(0, {}, {restoring}));
  BERTH_ASSIGN_OR_RETURN(const LogReader::Rows rows, from->ReadRows());
  BERTH_ASSIGN_OR_RETURN(const eventlog::v1::LogBegin begin, ReadLogBegin("", from));
  uint64_t position = begin.position();
  to->BeginAfter(position);
  std::vector<RowChange> changes;
  for (const auto& [key, value] : rows.rows) changes.push_back({key, value});
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> records,
                           from->Read(position, kCopiedAtOnce));
    BERTH_RETURN_IF_ERROR(to->TakeLease({kRestorer}, kLease));
    BERTH_RETURN_IF_ERROR(to->Append(position, records, std::exchange(changes, {})));
    if (records.empty()) return absl::OkStatus();
    position = records.back().position;
  }
}

absl::Status CopyAll(const std::map<std::string, std::unique_ptr<SqliteEventLog>>& from,
                     const Logs& to) {
  for (const auto& [stream, log] : to) {
    if (const absl::Status copied = Copy(from.at(stream).get(), log.get()); !copied.ok()) {
      return Annotate(copied, absl::StrCat("the log of ", stream,
                                           " was not restored; drop Berth's tables before this "
                                           "is tried again"));
    }
  }
  return absl::OkStatus();
}

// From here on they can be served.
absl::Status AllAreWhole(const Logs& logs) {
  for (const auto& [stream, log] : logs) {
    BERTH_RETURN_IF_ERROR(log->TakeLease({kRestorer}, kLease));
    BERTH_ASSIGN_OR_RETURN(const LogReader::Rows rows, log->ReadRows());
    BERTH_RETURN_IF_ERROR(log->Append(rows.position, {}, {{kRestoringRowKey, std::nullopt}}));
  }
  return absl::OkStatus();
}

void RemoveFiles(const std::string& folder, const std::vector<std::string>& streams) {
  std::error_code error;
  for (const std::string& stream : streams) {
    for (const char* suffix : {".db", ".db.lock", ".db-wal", ".db-shm"}) {
      fs::remove(fs::path(folder) / absl::StrCat(stream, suffix), error);
    }
  }
}

}  // namespace

absl::StatusOr<eventlog::v1::BackupManifest> RestoreBackup(const std::string& path,
                                                           const RestoreTarget& target,
                                                           absl::Time now) {
  // rename(2) takes no name that ends with a slash for one of a new folder.
  const std::string folder = fs::absolute(target.folder + "/.").lexically_normal().parent_path();
  BERTH_RETURN_IF_ERROR(CheckIsFree(folder));
  BERTH_ASSIGN_OR_RETURN(const Logs elsewhere, TakeEmptyLogs(target));
  BERTH_ASSIGN_OR_RETURN(UnfinishedFolder unfinished, UnfinishedFolder::Make(folder));
  BERTH_ASSIGN_OR_RETURN(Unpacked unpacked, UnpackBackup(path, unfinished.path(), target.streams));
  for (const auto& [stream, log] : unpacked.logs) {
    BERTH_RETURN_IF_ERROR(Complete(stream, target.new_state(stream), log.get(), now));
  }
  BERTH_RETURN_IF_ERROR(CopyAll(unpacked.logs, elsewhere));
  unpacked.logs.clear();
  if (!elsewhere.empty()) RemoveFiles(unfinished.path(), target.streams);
  BERTH_RETURN_IF_ERROR(unfinished.Keep(folder));
  if (const absl::Status whole = AllAreWhole(elsewhere); !whole.ok()) {
    return Annotate(whole, absl::StrCat("not every log can be served; drop Berth's tables and "
                                        "remove ",
                                        folder, " before this is tried again"));
  }
  return std::move(unpacked.manifest);
}

}  // namespace berth
