#include "agent/secrets/secrets_mount.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"

namespace berth::agent {
namespace {

constexpr char kFileName[] = "secrets.env";
constexpr char kFreshMark[] = ".new";  // No instance has a dot in its id.
constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0400;
constexpr unsigned long kMountFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

absl::Status FileError(const std::string& path, int error) {
  const std::string message = absl::StrCat(path, ": ", std::strerror(error));
  if (error == ENOSPC) return absl::ResourceExhaustedError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::UnavailableError(message);
}

absl::Status MakeOwnFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return FileError(path, error.value());
  if (chmod(path.c_str(), kFolderMode) != 0) return FileError(path, errno);
  return absl::OkStatus();
}

bool IsInMemory(const std::string& folder) {
  struct statfs where;
  return statfs(folder.c_str(), &where) == 0 &&
         (where.f_type == TMPFS_MAGIC || where.f_type == RAMFS_MAGIC);
}

absl::Status WriteWhole(int fd, absl::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError(path, errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status WriteFile(const std::string& path, const SecretBytes& content) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0));
  if (!fd.valid()) return FileError(path, errno);
  BERTH_RETURN_IF_ERROR(WriteWhole(fd.get(), content.view(), path));
  if (fchmod(fd.get(), kFileMode) != 0) return FileError(path, errno);
  return absl::OkStatus();
}

}  // namespace

std::string SecretsMount::DefaultFolder(const std::string& owner) {
  const char* runtime = geteuid() == 0 ? nullptr : std::getenv("XDG_RUNTIME_DIR");
  return absl::StrCat(runtime == nullptr ? "/run" : runtime, "/berth/secrets/", owner);
}

absl::Status SecretsMount::EnsureTmpfs() {
  const MutexLock lock(&mounting_);
  BERTH_RETURN_IF_ERROR(MakeOwnFolder(folder_));
  if (IsInMemory(folder_)) return absl::OkStatus();
  // Kernels of 6.4 and later keep it out of the swap, too; earlier ones do not know the word.
  for (const char* options : {"mode=0700,noswap", "mode=0700"}) {
    if (mount("berth-secrets", folder_.c_str(), "tmpfs", kMountFlags, options) == 0) {
      return absl::OkStatus();
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat("secrets are kept in memory only, and ", folder_, " is on a disk: mounting a ",
                   "tmpfs there failed: ", std::strerror(errno),
                   "; run the agent as root, or mount a tmpfs there"));
}

absl::StatusOr<std::string> SecretsMount::Write(const std::string& instance,
                                                const SecretBytes& content) {
  BERTH_RETURN_IF_ERROR(EnsureTmpfs());
  const std::string place = absl::StrCat(folder_, "/", instance);
  const std::string fresh = absl::StrCat(place, kFreshMark);
  std::error_code error;
  std::filesystem::remove_all(fresh, error);  // What a crash left.
  BERTH_RETURN_IF_ERROR(MakeOwnFolder(fresh));
  BERTH_RETURN_IF_ERROR(WriteFile(absl::StrCat(fresh, "/", kFileName), content));
  // Whoever opens the file finds it whole. An instance that runs keeps the one it was started with.
  const bool replaces = std::filesystem::exists(place, error);
  if (renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, place.c_str(),
                replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE) != 0) {
    return FileError(place, errno);
  }
  if (replaces) std::filesystem::remove_all(fresh, error);
  return absl::StrCat(place, "/", kFileName);
}

absl::Status SecretsMount::Remove(const std::string& instance) {
  std::error_code error;
  for (const std::string& name : {instance, absl::StrCat(instance, kFreshMark)}) {
    const std::string place = absl::StrCat(folder_, "/", name);
    std::filesystem::remove_all(place, error);
    if (error) return FileError(place, error.value());
  }
  return absl::OkStatus();
}

absl::Status SecretsMount::KeepOnly(const std::set<std::string>& instances) {
  std::error_code error;
  if (!std::filesystem::exists(folder_, error)) return absl::OkStatus();
  std::set<std::string> others;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    if (!instances.contains(name)) others.insert(name);
  }
  if (error) return FileError(folder_, error.value());
  for (const std::string& other : others) BERTH_RETURN_IF_ERROR(Remove(other));
  return absl::OkStatus();
}

absl::Status SecretsMount::Unmount() {
  std::error_code error;
  if (!std::filesystem::exists(folder_, error)) return absl::OkStatus();
  BERTH_RETURN_IF_ERROR(KeepOnly({}));
  // Not a mount of its own where what is around it is a tmpfs already.
  if (umount2(folder_.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != EPERM) {
    return FileError(folder_, errno);
  }
  std::filesystem::remove(folder_, error);
  if (error) return FileError(folder_, error.value());
  // Other platforms on this machine may have theirs there.
  const std::filesystem::path above = std::filesystem::path(folder_).parent_path();
  if (std::filesystem::is_empty(above, error)) std::filesystem::remove(above, error);
  return absl::OkStatus();
}

}  // namespace berth::agent
