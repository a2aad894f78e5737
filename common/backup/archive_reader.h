#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct archive;

namespace berth {

// Reads what an ArchiveWriter wrote, from the beginning to the end.
class ArchiveReader {
 public:
  // A piece that claims to be larger is not one of ours, and would not fit into memory.
  static constexpr size_t kEntryBytesMax = size_t{2} << 30;

  struct Entry {
    std::string name;
    std::string bytes;
    mode_t mode = 0;
  };

  // kNotFound: there is no such file. kDataLoss: it is no archive.
  static absl::StatusOr<ArchiveReader> Open(const std::string& path);

  // The next piece, or nullopt at the end. kDataLoss: the file is damaged or cut off, or has what
  // no ArchiveWriter writes.
  absl::StatusOr<std::optional<Entry>> Next();

 private:
  struct Free {
    void operator()(archive* opened) const;
  };

  ArchiveReader(std::string path, archive* opened) : path_(std::move(path)), archive_(opened) {}

  absl::Status Damaged() const;

  std::string path_;
  std::unique_ptr<archive, Free> archive_;
};

}  // namespace berth
