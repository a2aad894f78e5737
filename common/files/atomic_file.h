#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// Files that are replaced whole: whoever reads one sees the old bytes or the new ones, also after a
// power cut. On OK the bytes and the name are on disk.
//
// Errors carry the code that fits errno (kNotFound, kPermissionDenied, kResourceExhausted for a
// full disk, …) and name the file; the old file is then as it was. A crash may leave a file named
// FILE.tmp-XXXXXX beside it.

// Makes or replaces `path`. `mode` is set exactly, whatever the umask.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes, mode_t mode);

// As above, but kAlreadyExists if there is a file: of two processes that make it at the same time
// one wins, and the other reads what that one wrote.
absl::Status CreateFileAtomically(const std::string& path, absl::string_view bytes, mode_t mode);

// The whole file. kFailedPrecondition: not a regular file, or larger than `size_max`.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t size_max);

}  // namespace berth
