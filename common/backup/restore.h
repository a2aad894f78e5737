#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/eventlog/v1/backup.pb.h"
#include "common/eventlog/event_log.h"
#include "common/eventlog/logged_state.h"

namespace berth {

// What a backup is restored to.
struct RestoreTarget {
  // The server's folder: it is empty, or is not there.
  std::string folder;
  // All logs that a server has.
  std::vector<std::string> streams;
  // A state of the stream's service, before any event.
  std::function<std::unique_ptr<LoggedState>(const std::string& stream)> new_state;
  // Where each log goes: one that has nothing yet. Empty: into a SQLite file in the folder.
  std::function<absl::StatusOr<std::unique_ptr<EventLog>>(const std::string& stream)> open_log = {};
};

// Restores a backup: everything or nothing. It is unpacked beside the folder, verified there as a
// running server's logs are (chains, states, snapshots, rows), and then given the folder's name.
//
// Each log gets one more record, LogRestored: it says that and when a history begins here that may
// not have what an earlier one went on with. So every position after the backup's has another hash
// than it had, and whoever has seen one is told that history has changed.
//
// Logs that go elsewhere follow once all were verified, and nobody can serve them before the last
// one is whole and the folder is there.
//
// kAlreadyExists: the folder is not empty, or a log is not. kNotFound, kDataLoss: there is no
// backup, or it is damaged, cut off, or not of this server's logs. kFailedPrecondition: it is of a
// format that this version does not know. The folder is as it was then, and where logs were to go
// elsewhere, nothing is there either, unless that failed itself.
absl::StatusOr<eventlog::v1::BackupManifest> RestoreBackup(const std::string& path,
                                                           const RestoreTarget& target,
                                                           absl::Time now);

}  // namespace berth
