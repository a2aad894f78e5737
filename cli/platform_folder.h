#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/local_platform.h"
#include "common/net/unique_fd.h"

namespace berth::cli {

// A platform's folder, held so that no other `berth up` or `berth down` works on it meanwhile.
class PlatformFolder {
 public:
  // The folder, or where it is empty the default one; made where it is new, and for its owner only.
  // Files that this process makes from now on are their owner's only, too. kFailedPrecondition: it
  // cannot be made; kUnavailable: another process holds it.
  static absl::StatusOr<PlatformFolder> Make(const std::string& path);

  // The same of a folder that is there. kNotFound: no platform is in it.
  static absl::StatusOr<PlatformFolder> Open(const std::string& path);

  const LocalPlatform& platform() const { return platform_; }

  // Removes it with everything in it.
  absl::Status Remove();

 private:
  PlatformFolder(LocalPlatform platform, UniqueFd lock)
      : platform_(std::move(platform)), lock_(std::move(lock)) {}

  static absl::StatusOr<PlatformFolder> Lock(LocalPlatform platform);

  LocalPlatform platform_;
  UniqueFd lock_;
};

}  // namespace berth::cli
