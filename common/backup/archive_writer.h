#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/net/unique_fd.h"

struct archive;

namespace berth {

// Writes an archive: named pieces of bytes, as a tar file that is compressed with Zstandard. Only
// its owner may read it (mode 0600). It has a name of its own until Finish gives it the one that
// was asked for, so that what has that name is whole; what was not finished is removed.
//
// Errors carry the code that fits errno and name the file.
class ArchiveWriter {
 public:
  // kAlreadyExists: there is such a file.
  static absl::StatusOr<std::unique_ptr<ArchiveWriter>> Create(const std::string& path);
  ~ArchiveWriter();
  ArchiveWriter(const ArchiveWriter&) = delete;
  ArchiveWriter& operator=(const ArchiveWriter&) = delete;

  // `mode` is the permissions that the piece has as a file.
  absl::Status Add(const std::string& name, absl::string_view bytes, mode_t mode);

  // It is on disk under its name when this returns OK. kAlreadyExists: somebody else has made a
  // file of that name meanwhile, which is left alone.
  absl::Status Finish();

 private:
  ArchiveWriter(std::string path, std::string unfinished, UniqueFd fd);

  absl::Status Failed(absl::string_view what) const;

  const std::string path_;
  std::string unfinished_;  // Its name until it is finished; empty afterwards.
  const UniqueFd fd_;
  archive* const archive_;
};

}  // namespace berth
