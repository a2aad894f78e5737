#include "cli/platform_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "cli/errors.h"
#include "common/status/status_macros.h"

namespace berth::cli {
namespace {

constexpr mode_t kOwnerOnlyMask = 077;
constexpr mode_t kLockMode = 0600;

absl::StatusOr<LocalPlatform> PlatformAt(const std::string& path) {
  std::string folder = path;
  if (folder.empty()) {
    BERTH_ASSIGN_OR_RETURN(folder, DefaultStateFolder(ProcessEnvironment, geteuid() == 0));
  }
  folder = std::filesystem::absolute(folder).lexically_normal().string();
  if (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  return LocalPlatform{folder};
}

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return WithAction(absl::FailedPreconditionError(absl::StrCat(path, ": ", error.message())),
                      "choose a folder that you may write to with --state");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PlatformFolder> PlatformFolder::Make(const std::string& path) {
  umask(kOwnerOnlyMask);
  BERTH_ASSIGN_OR_RETURN(LocalPlatform platform, PlatformAt(path));
  for (const std::string& folder : {platform.folder, platform.folder + "/run",
                                    platform.folder + "/log", platform.agent_state()}) {
    BERTH_RETURN_IF_ERROR(MakeFolder(folder));
  }
  if (chmod(platform.folder.c_str(), S_IRWXU) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(platform.folder, ": ", std::strerror(errno)));
  }
  return Lock(std::move(platform));
}

absl::StatusOr<PlatformFolder> PlatformFolder::Open(const std::string& path) {
  umask(kOwnerOnlyMask);
  BERTH_ASSIGN_OR_RETURN(LocalPlatform platform, PlatformAt(path));
  if (!std::filesystem::exists(platform.server_settings()) && !platform.HasJoinedAnother()) {
    return WithAction(absl::NotFoundError(absl::StrCat("there is no Berth in ", platform.folder)),
                      "name its folder with --state");
  }
  return Lock(std::move(platform));
}

absl::StatusOr<PlatformFolder> PlatformFolder::Lock(LocalPlatform platform) {
  UniqueFd lock(open(platform.lock_file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kLockMode));
  if (!lock.valid()) {
    return absl::FailedPreconditionError(
        absl::StrCat(platform.lock_file(), ": ", std::strerror(errno)));
  }
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return WithAction(absl::UnavailableError(absl::StrCat(
                          "another `berth up` or `berth down` is at work in ", platform.folder)),
                      "wait until it is done");
  }
  return PlatformFolder(std::move(platform), std::move(lock));
}

absl::Status PlatformFolder::Remove() {
  std::error_code error;
  std::filesystem::remove_all(platform_.folder, error);
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat(platform_.folder, ": ", error.message()));
  }
  return absl::OkStatus();
}

}  // namespace berth::cli
