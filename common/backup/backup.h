#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/eventlog/v1/backup.pb.h"
#include "common/eventlog/event_log.h"

namespace berth {

// What a backup is made of.
struct BackupSource {
  // The server's folder, whose files are backed up, except for logs that are in it and what says
  // where a process listens now.
  std::string folder;
  // In the order that they are read: whoever imports from another log comes before it, so that no
  // log that is restored has heard of what the other one does not have.
  std::vector<std::string> streams;
  std::function<absl::StatusOr<std::unique_ptr<LogReader>>(const std::string& stream)> open_log;
};

// Backs up logs, while they are written, and the files beside them, into the new file `path`, which
// only its owner may read: it has everything that the server has, private keys and the keys to all
// secrets included. Each log is as of one position, with its rows; all records chain.
//
// kAlreadyExists: there is a file. kDataLoss: a log is damaged (stream and position are named); no
// file is made. kFailedPrecondition: there is nothing to back up. kUnavailable: a log was cut
// meanwhile; the next attempt finds it so.
absl::StatusOr<eventlog::v1::BackupManifest> MakeBackup(const BackupSource& source,
                                                        const std::string& path, absl::Time now);

}  // namespace berth
