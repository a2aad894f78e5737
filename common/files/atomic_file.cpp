#include "common/files/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status WriteAll(int fd, absl::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return Failed("write", path);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// Until the folder is on disk a power cut may undo the rename.
absl::Status SyncFolderOf(const std::string& path) {
  const std::string folder = FolderOf(path);
  const UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Failed("open the folder", folder);
  if (fsync(fd.get()) != 0) return Failed("sync the folder", folder);
  return absl::OkStatus();
}

// A file beside its destination, so that rename and link stay within one file system. Unlinked with
// the object unless it was renamed.
class TemporaryFile {
 public:
  static absl::StatusOr<TemporaryFile> Write(const std::string& destination,
                                             absl::string_view bytes, mode_t mode) {
    TemporaryFile file;
    file.path_ = absl::StrCat(destination, ".tmp-XXXXXX");
    // Made with mode 0600; `mode` comes before the bytes, so that they are never seen by more.
    const UniqueFd fd(mkostemp(file.path_.data(), O_CLOEXEC));
    if (!fd.valid()) {
      file.path_.clear();
      return Failed("write", destination);
    }
    if (fchmod(fd.get(), mode) != 0) return Failed("set the mode of", file.path_);
    BERTH_RETURN_IF_ERROR(WriteAll(fd.get(), bytes, file.path_));
    if (fsync(fd.get()) != 0) return Failed("sync", file.path_);
    return file;
  }

  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }

  absl::Status Replace(const std::string& destination) {
    if (rename(path_.c_str(), destination.c_str()) != 0) return Failed("replace", destination);
    path_.clear();
    return SyncFolderOf(destination);
  }

  // link(2), unlike rename(2), refuses where there is a file already.
  absl::Status Create(const std::string& destination) {
    if (link(path_.c_str(), destination.c_str()) != 0) return Failed("create", destination);
    return SyncFolderOf(destination);
  }

 private:
  TemporaryFile() = default;

  std::string path_;
};

}  // namespace

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes, mode_t mode) {
  BERTH_ASSIGN_OR_RETURN(TemporaryFile file, TemporaryFile::Write(path, bytes, mode));
  return file.Replace(path);
}

absl::Status CreateFileAtomically(const std::string& path, absl::string_view bytes, mode_t mode) {
  BERTH_ASSIGN_OR_RETURN(TemporaryFile file, TemporaryFile::Write(path, bytes, mode));
  return file.Create(path);
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t size_max) {
  // Without O_NONBLOCK, opening a FIFO would wait for a writer.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return Failed("read", path);
  struct stat status;
  if (fstat(fd.get(), &status) != 0) return Failed("read", path);
  if (!S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is not a regular file"));
  }
  std::string bytes;
  char buffer[16 * 1024];
  while (true) {
    const ssize_t count = read(fd.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed("read", path);
    if (count == 0) return bytes;
    if (bytes.size() + static_cast<size_t>(count) > size_max) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " is larger than ", size_max, " bytes"));
    }
    bytes.append(buffer, static_cast<size_t>(count));
  }
}

}  // namespace berth
