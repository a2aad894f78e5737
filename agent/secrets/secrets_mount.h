#pragma once

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/crypto/secret_bytes.h"
#include "common/sync/mutex.h"

namespace berth::agent {

// A folder in memory (tmpfs), never on a disk, with the secrets file of each instance of this host.
//
// Safe from several threads, as long as those about one instance come one after another.
class SecretsMount {
 public:
  explicit SecretsMount(std::string folder) : folder_(std::move(folder)) {}

  // The agent's folder: below /run/berth as root, else below XDG_RUNTIME_DIR. `owner` tells the
  // agents of several platforms on one machine apart.
  static std::string DefaultFolder(const std::string& owner);

  // Makes the instance's file anew, in place of an older one: mode 0400, in a folder that nobody
  // else enters. It is the agent's own until the driver gives it to whoever runs in the instance.
  // Answers its path, which is the same each time. kFailedPrecondition: the folder is on no tmpfs
  // and none can be mounted.
  absl::StatusOr<std::string> Write(const std::string& instance, const SecretBytes& content);
  absl::Status Remove(const std::string& instance);
  // Removes those of all others. Called while nothing else is.
  absl::Status KeepOnly(const std::set<std::string>& instances);
  // Undoes all that was made.
  absl::Status Unmount();

 private:
  // There is no telling when a tmpfs goes, so this is looked at before each write.
  absl::Status EnsureTmpfs();

  const std::string folder_;
  Mutex mounting_;  // Of two mounts, the second would hide what is written in the first.
};

}  // namespace berth::agent
