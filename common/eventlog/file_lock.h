#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/net/unique_fd.h"

namespace berth {

// An exclusive flock(2) on a file of its own, held for as long as the object lives and at most as
// long as the process. The file stays behind, since removing it would let two processes lock two
// files of the same name; it says who holds it.
class FileLock {
 public:
  // Makes the file with mode 0600 where there is none. kUnavailable: another process, or another
  // object in this one, has the lock; the message names the file and the holder. Does not wait.
  static absl::StatusOr<FileLock> Take(const std::string& path);

  // Writes down what the holder is called, for whoever is refused. Only people read it, so a disk
  // that is full or broken is not an error here.
  void NameHolder(absl::string_view holder);

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace berth
