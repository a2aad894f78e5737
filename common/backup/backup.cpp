#include "common/backup/backup.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/backup/archive_writer.h"
#include "common/backup/backup_format.h"
#include "common/crypto/hash.h"
#include "common/eventlog/log_begin.h"
#include "common/eventlog/record_chain.h"
#include "common/files/atomic_file.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth {
namespace {

using eventlog::v1::BackupManifest;

constexpr mode_t kOwnerOnly = 0600;
// Records that are read, and stored as one entry, at once; a read has a limit of bytes, too.
constexpr size_t kEntryRecords = 2'000;
// Keys, certificates and tokens are small; what is larger is none of the server's files.
constexpr size_t kFileBytesMax = size_t{16} << 20;

// A log that is being backed up.
struct Log {
  std::string stream;
  std::unique_ptr<LogReader> reader;
  LogReader::Rows rows;
};

class Backup {
 public:
  explicit Backup(std::unique_ptr<ArchiveWriter> writer) : writer_(std::move(writer)) {}

  absl::Status Add(const std::string& name, const std::string& bytes, mode_t mode = kOwnerOnly) {
    *manifest_.add_entries() = DescribeEntry(name, bytes);
    return writer_->Add(name, bytes, mode);
  }

  absl::Status AddLog(const Log& log) {
    BERTH_ASSIGN_OR_RETURN(const eventlog::v1::LogBegin begin, BeginOf(log));
    return UnlessCutSince(log.stream, begin.position(), AddLogFrom(begin, log), log.reader.get());
  }

  absl::Status AddFile(const std::string& folder, const std::string& name) {
    const std::string path = absl::StrCat(folder, "/", name);
    struct stat found;
    if (stat(path.c_str(), &found) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    }
    BERTH_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kFileBytesMax));
    return Add(absl::StrCat(kFilesPrefix, name), bytes, found.st_mode & ACCESSPERMS);
  }

  absl::StatusOr<BackupManifest> Finish(absl::Time begun) {
    manifest_.set_format(kBackupFormat);
    manifest_.set_berth_version(BERTH_VERSION);
    *manifest_.mutable_time() = ToTimestamp(begun);
    BERTH_RETURN_IF_ERROR(writer_->Add(kManifestEntry, ToJson(manifest_), kOwnerOnly));
    BERTH_RETURN_IF_ERROR(writer_->Finish());
    return std::move(manifest_);
  }

 private:
  static absl::StatusOr<eventlog::v1::LogBegin> BeginOf(const Log& log) {
    std::optional<std::string> begin;
    for (const auto& [key, value] : log.rows.rows) {
      if (key == kRestoringRowKey) return RestoreNotFinished(log.stream);
      if (key == kLogBeginRowKey) begin = value;
    }
    return LogBeginFromRow(log.stream, begin);
  }

  absl::Status AddLogFrom(const eventlog::v1::LogBegin& begin, const Log& log) {
    uint64_t position = begin.position();
    std::string hash = begin.record_hash();
    eventlog::v1::Record read;
    for (uint64_t number = 1; position < log.rows.position; ++number) {
      const uint64_t missing = log.rows.position - position;
      BERTH_ASSIGN_OR_RETURN(
          const std::vector<StoredRecord> records,
          log.reader->Read(position, std::min<uint64_t>(missing, kEntryRecords)));
      if (records.empty()) {
        return absl::DataLossError(absl::StrCat("stream ", log.stream, ", position ", position + 1,
                                                ": the log ends before it, and has had ",
                                                log.rows.position, " records"));
      }
      eventlog::v1::BackupRecords entry;
      for (const StoredRecord& stored : records) {
        BERTH_RETURN_IF_ERROR(ReadChained(log.stream, position, hash, stored, &read));
        eventlog::v1::BackupRecord& record = *entry.add_records();
        record.set_position(stored.position);
        record.set_bytes(stored.bytes);
        record.set_hash(stored.hash);
        position = stored.position;
        hash = stored.hash;
      }
      BERTH_RETURN_IF_ERROR(Add(RecordsEntry(log.stream, number), entry.SerializeAsString()));
    }
    eventlog::v1::BackupRows rows;
    for (const auto& [key, value] : log.rows.rows) {
      eventlog::v1::BackupRow& row = *rows.add_rows();
      row.set_key(key);
      row.set_value(value);
    }
    BERTH_RETURN_IF_ERROR(Add(RowsEntry(log.stream), rows.SerializeAsString()));
    eventlog::v1::BackupLog& described = *manifest_.add_logs();
    described.set_stream(log.stream);
    described.set_position(position);
    described.set_hash(HexEncode(hash));
    described.set_cut_position(begin.position());
    return absl::OkStatus();
  }

  const std::unique_ptr<ArchiveWriter> writer_;
  BackupManifest manifest_;
};

// Whether it is a log, or says where a process listens now.
bool IsLeftOut(const std::string& name, const std::vector<std::string>& streams) {
  if (name == "http-address" || name.ends_with("/http-address")) return true;
  return std::any_of(streams.begin(), streams.end(), [&name](const std::string& stream) {
    return name.starts_with(absl::StrCat(stream, ".db"));
  });
}

// Of all files that are backed up, from the folder on, in order.
absl::StatusOr<std::set<std::string>> FilesOf(const BackupSource& source) {
  std::set<std::string> names;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(source.folder, error);
  for (; !error && entry != std::filesystem::recursive_directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().lexically_relative(source.folder).string();
    if (entry->is_regular_file() && !IsLeftOut(name, source.streams)) names.insert(name);
  }
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat(source.folder, ": ", error.message()));
  }
  return names;
}

}  // namespace

absl::StatusOr<BackupManifest> MakeBackup(const BackupSource& source, const std::string& path,
                                          absl::Time now) {
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<ArchiveWriter> writer, ArchiveWriter::Create(path));
  Backup backup(std::move(writer));
  BERTH_RETURN_IF_ERROR(backup.Add(kFormatEntry, kFormatText));
  // All rows first, with the positions that they are of: the moments are close to one another, and
  // in the order that the source says. Records at these positions do not change any more.
  std::vector<Log> logs;
  for (const std::string& stream : source.streams) {
    Log& log = logs.emplace_back();
    log.stream = stream;
    BERTH_ASSIGN_OR_RETURN(log.reader, source.open_log(stream));
    BERTH_ASSIGN_OR_RETURN(log.rows, log.reader->ReadRows());
    if (log.rows.position == 0) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the log of ", stream, " is empty; start the server once before it is backed up"));
    }
  }
  for (const Log& log : logs) BERTH_RETURN_IF_ERROR(backup.AddLog(log));
  BERTH_ASSIGN_OR_RETURN(const std::set<std::string> files, FilesOf(source));
  for (const std::string& name : files) {
    const absl::Status added = backup.AddFile(source.folder, name);
    // Join tokens go once they were used.
    if (!added.ok() && !absl::IsNotFound(added)) return added;
  }
  return backup.Finish(now);
}

}  // namespace berth
