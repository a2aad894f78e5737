#include "common/backup/archive_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

absl::Status AlreadyThere(const std::string& path) {
  return absl::AlreadyExistsError(
      absl::StrCat(path, " is there already, and is not replaced; name another file"));
}

// Until the folder is on disk a power cut may undo what was made in it.
absl::Status SyncFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot sync the folder ", folder));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArchiveWriter>> ArchiveWriter::Create(const std::string& path) {
  if (access(path.c_str(), F_OK) == 0) return AlreadyThere(path);
  std::string unfinished = absl::StrCat(path, ".partial-XXXXXX");
  UniqueFd fd(mkostemp(unfinished.data(), O_CLOEXEC));  // Mode 0600.
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path));
  std::unique_ptr<ArchiveWriter> writer(
      new ArchiveWriter(path, std::move(unfinished), std::move(fd)));
  archive* const made = writer->archive_;
  if (archive_write_set_format_pax_restricted(made) != ARCHIVE_OK ||
      archive_write_add_filter_zstd(made) != ARCHIVE_OK ||
      archive_write_open_fd(made, writer->fd_.get()) != ARCHIVE_OK) {
    return writer->Failed("begin");
  }
  return writer;
}

ArchiveWriter::ArchiveWriter(std::string path, std::string unfinished, UniqueFd fd)
    : path_(std::move(path)),
      unfinished_(std::move(unfinished)),
      fd_(std::move(fd)),
      archive_(archive_write_new()) {
  BERTH_CHECK(archive_ != nullptr);
}

ArchiveWriter::~ArchiveWriter() {
  archive_write_free(archive_);
  if (!unfinished_.empty()) unlink(unfinished_.c_str());
}

absl::Status ArchiveWriter::Add(const std::string& name, absl::string_view bytes, mode_t mode) {
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                            &archive_entry_free);
  BERTH_CHECK(entry != nullptr);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), mode);
  archive_entry_set_size(entry.get(), static_cast<int64_t>(bytes.size()));
  if (archive_write_header(archive_, entry.get()) != ARCHIVE_OK) return Failed("write");
  while (!bytes.empty()) {
    const la_ssize_t written = archive_write_data(archive_, bytes.data(), bytes.size());
    if (written <= 0) return Failed("write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status ArchiveWriter::Finish() {
  if (archive_write_close(archive_) != ARCHIVE_OK) return Failed("finish");
  if (fsync(fd_.get()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot sync ", path_));
  }
  if (renameat2(AT_FDCWD, unfinished_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST) return AlreadyThere(path_);
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path_));
  }
  unfinished_.clear();
  return SyncFolderOf(path_);
}

absl::Status ArchiveWriter::Failed(absl::string_view what) const {
  const int error = archive_errno(archive_);
  const char* const why = archive_error_string(archive_);
  const std::string text = absl::StrCat("cannot ", what, " ", path_, why == nullptr ? "" : ": ",
                                        why == nullptr ? "" : why);
  return error > 0 ? absl::Status(absl::ErrnoToStatusCode(error), text) : absl::InternalError(text);
}

}  // namespace berth
