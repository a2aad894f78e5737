#include "common/crypto/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/net/unique_fd.h"

namespace berth {
namespace {

absl::Status Refused(absl::string_view path, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(path, " ", why));
}

}  // namespace

absl::StatusOr<SecretBytes> ReadSecretFile(const std::string& path, size_t size_max) {
  const auto failed = [&path] { return absl::ErrnoToStatus(errno, "cannot read " + path); };
  // Without O_NONBLOCK, opening a FIFO would wait for a writer.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return failed();
  struct stat status;
  if (fstat(fd.get(), &status) != 0) return failed();
  if (!S_ISREG(status.st_mode)) return Refused(path, "is not a regular file");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Refused(path,
                   absl::StrCat("may be read by others than its owner; run: chmod 600 ", path));
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size > size_max) return Refused(path, absl::StrCat("is larger than ", size_max, " bytes"));
  SecretBytes bytes(size);
  size_t have = 0;
  while (have < size) {
    const ssize_t count = read(fd.get(), bytes.data() + have, size - have);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed();
    if (count == 0) return Refused(path, "became shorter while it was read");
    have += static_cast<size_t>(count);
  }
  return bytes;
}

}  // namespace berth
