#include "common/backup/unpack.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/backup/archive_reader.h"
#include "common/backup/backup_format.h"
#include "common/crypto/hash.h"
#include "common/eventlog/record_chain.h"
#include "common/files/atomic_file.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

using eventlog::v1::BackupLog;
using eventlog::v1::BackupManifest;

constexpr char kHolder[] = "restore";
constexpr absl::Duration kLease = absl::Hours(24);  // A file's lock does not end by itself.

// Whether a name leads to a file below the folder that it is said in.
bool StaysBelow(absl::string_view name) {
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

class Unpacking {
 public:
  Unpacking(std::string archive, std::string folder)
      : archive_(std::move(archive)), folder_(std::move(folder)) {}

  absl::Status OpenLogs(const std::vector<std::string>& streams) {
    for (const std::string& stream : streams) {
      BERTH_ASSIGN_OR_RETURN(
          std::unique_ptr<SqliteEventLog> log,
          SqliteEventLog::Open(absl::StrCat(folder_, "/", stream, ".db"), stream));
      BERTH_RETURN_IF_ERROR(log->TakeLease({kHolder}, kLease));
      unpacked_.logs[stream] = std::move(log);
      ends_[stream];
    }
    return absl::OkStatus();
  }

  absl::Status Take(const ArchiveReader::Entry& entry) {
    if (manifest_found_) return Wrong(absl::StrCat(entry.name, " follows the manifest"));
    if (entry.name == kManifestEntry) {
      manifest_found_ = true;
      BERTH_ASSIGN_OR_RETURN(unpacked_.manifest, ParseManifest(entry.bytes));
      return absl::OkStatus();
    }
    *found_.add_entries() = DescribeEntry(entry.name, entry.bytes);
    if (entry.name == kFormatEntry) return absl::OkStatus();
    absl::string_view name = entry.name;
    if (absl::ConsumePrefix(&name, kFilesPrefix)) return TakeFile(std::string(name), entry);
    if (absl::ConsumePrefix(&name, kLogsPrefix)) return TakeLog(name, entry);
    return Wrong(absl::StrCat("this version does not know what ", entry.name, " is"));
  }

  // Holds what was found against what the manifest says.
  absl::StatusOr<Unpacked> Finish() {
    if (!manifest_found_) return Wrong("its end is missing");
    const BackupManifest& manifest = unpacked_.manifest;
    for (int i = 0; i < std::max(manifest.entries_size(), found_.entries_size()); ++i) {
      if (i >= found_.entries_size()) return Wrong(manifest.entries(i).name() + " is missing");
      if (i >= manifest.entries_size() ||
          manifest.entries(i).SerializeAsString() != found_.entries(i).SerializeAsString()) {
        return Wrong(found_.entries(i).name() + " is not what was backed up");
      }
    }
    if (static_cast<size_t>(manifest.logs_size()) != ends_.size()) {
      return Wrong("it is not of the logs that a server has");
    }
    for (const BackupLog& log : manifest.logs()) {
      const auto end = ends_.find(log.stream());
      if (end == ends_.end() || end->second.cut_position != log.cut_position() ||
          end->second.position != log.position() || HexEncode(end->second.hash) != log.hash()) {
        return Wrong(absl::StrCat("stream ", log.stream(), " is not the one from position ",
                                  log.cut_position() + 1, " to ", log.position(),
                                  " that was backed up"));
      }
    }
    return std::move(unpacked_);
  }

 private:
  struct End {
    uint64_t cut_position = 0;
    uint64_t position = 0;
    std::string hash = HashBeforeFirstRecord();
  };

  absl::Status TakeFile(const std::string& name, const ArchiveReader::Entry& entry) {
    if (!StaysBelow(name)) return Wrong(absl::StrCat(entry.name, " is not below the folder"));
    const std::filesystem::path path = std::filesystem::path(folder_) / name;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot make ", path.parent_path().string(), ": ", error.message()));
    }
    return CreateFileAtomically(path.string(), entry.bytes, entry.mode);
  }

  absl::Status TakeLog(absl::string_view name, const ArchiveReader::Entry& entry) {
    const std::string stream(name.substr(0, name.find('/')));
    const auto log = unpacked_.logs.find(stream);
    if (log == unpacked_.logs.end()) return Wrong(absl::StrCat("no service has a log ", stream));
    End& end = ends_[stream];
    if (entry.name == RowsEntry(stream)) {
      eventlog::v1::BackupRows rows;
      if (!rows.ParseFromString(entry.bytes)) return Wrong(entry.name + " cannot be read");
      std::vector<RowChange> changes;
      for (const auto& row : rows.rows()) changes.push_back({row.key(), row.value()});
      return log->second->Append(end.position, {}, changes);
    }
    eventlog::v1::BackupRecords records;
    if (!records.ParseFromString(entry.bytes)) return Wrong(entry.name + " cannot be read");
    std::vector<StoredRecord> stored;
    if (end.position == 0 && records.records_size() > 0 && records.records(0).position() > 0) {
      end.cut_position = end.position = records.records(0).position() - 1;
      log->second->BeginAfter(end.cut_position);
    }
    const uint64_t after = end.position;
    for (const auto& record : records.records()) {
      if (record.position() != end.position + 1) {
        return Wrong(
            absl::StrCat("stream ", stream, ", position ", end.position + 1, " is missing"));
      }
      end.position = record.position();
      end.hash = record.hash();
      stored.push_back({record.position(), record.bytes(), record.hash()});
    }
    return log->second->Append(after, stored, {});
  }

  absl::Status Wrong(absl::string_view what) const {
    return absl::DataLossError(absl::StrCat(archive_, ": ", what, "; restore another backup"));
  }

  const std::string archive_;
  const std::string folder_;
  Unpacked unpacked_;
  std::map<std::string, End> ends_;
  BackupManifest found_;  // Its entries only.
  bool manifest_found_ = false;
};

}  // namespace

absl::StatusOr<Unpacked> UnpackBackup(const std::string& path, const std::string& folder,
                                      const std::vector<std::string>& streams) {
  BERTH_ASSIGN_OR_RETURN(ArchiveReader reader, ArchiveReader::Open(path));
  Unpacking unpacking(path, folder);
  bool first = true;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const std::optional<ArchiveReader::Entry> entry, reader.Next());
    if (!entry.has_value()) break;
    if (std::exchange(first, false)) {
      if (entry->name != kFormatEntry || entry->bytes != kFormatText) {
        return absl::FailedPreconditionError(
            absl::StrCat(path,
                         " is no backup that this version of Berth reads; run the version "
                         "that made it, or a newer one"));
      }
      BERTH_RETURN_IF_ERROR(unpacking.OpenLogs(streams));
    }
    BERTH_RETURN_IF_ERROR(unpacking.Take(*entry));
  }
  return unpacking.Finish();
}

}  // namespace berth
