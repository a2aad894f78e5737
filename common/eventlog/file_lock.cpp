#include "common/eventlog/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace berth {
namespace {

// More than any holder's line; the rest of a longer one is not shown.
constexpr size_t kHolderMax = 256;

std::string HolderOf(int fd) {
  char line[kHolderMax];
  const ssize_t size = pread(fd, line, sizeof(line), 0);
  if (size <= 0) return "another process";
  return std::string(
      absl::StripAsciiWhitespace(absl::string_view(line, static_cast<size_t>(size))));
}

}  // namespace

absl::StatusOr<FileLock> FileLock::Take(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return absl::ErrnoToStatus(errno, absl::StrCat("cannot lock ", path));
    return absl::UnavailableError(absl::StrCat(path, " is held by ", HolderOf(fd.get())));
  }
  FileLock lock(std::move(fd));
  lock.NameHolder("");
  return lock;
}

void FileLock::NameHolder(absl::string_view holder) {
  const std::string line =
      absl::StrCat("process ", getpid(), holder.empty() ? "" : ", ", holder, "\n");
  if (ftruncate(fd_.get(), 0) != 0) return;
  [[maybe_unused]] const ssize_t ignored = pwrite(fd_.get(), line.data(), line.size(), 0);
}

}  // namespace berth
