#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "berth/eventlog/v1/backup.pb.h"
#include "common/eventlog/sqlite_event_log.h"

namespace berth {

// What was in a backup, on disk.
struct Unpacked {
  eventlog::v1::BackupManifest manifest;
  // By stream; each is that of the manifest, and its records were not looked into.
  std::map<std::string, std::unique_ptr<SqliteEventLog>> logs;
};

// Unpacks a backup into `folder`, which is empty and nobody else's: its files, and a log for each
// of `streams`. Errors as RestoreBackup's; then the folder has some of it.
absl::StatusOr<Unpacked> UnpackBackup(const std::string& path, const std::string& folder,
                                      const std::vector<std::string>& streams);

}  // namespace berth
