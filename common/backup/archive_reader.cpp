#include "common/backup/archive_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"

namespace berth {
namespace {

constexpr size_t kBlockBytes = size_t{64} << 10;

}  // namespace

void ArchiveReader::Free::operator()(archive* opened) const { archive_read_free(opened); }

absl::StatusOr<ArchiveReader> ArchiveReader::Open(const std::string& path) {
  if (access(path.c_str(), R_OK) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  }
  ArchiveReader reader(path, archive_read_new());
  archive* const opened = reader.archive_.get();
  BERTH_CHECK(opened != nullptr);
  if (archive_read_support_filter_zstd(opened) != ARCHIVE_OK ||
      archive_read_support_format_tar(opened) != ARCHIVE_OK ||
      archive_read_open_filename(opened, path.c_str(), kBlockBytes) != ARCHIVE_OK) {
    return reader.Damaged();
  }
  return reader;
}

absl::StatusOr<std::optional<ArchiveReader::Entry>> ArchiveReader::Next() {
  archive_entry* found = nullptr;
  const int next = archive_read_next_header(archive_.get(), &found);
  if (next == ARCHIVE_EOF) return std::optional<Entry>();
  if (next != ARCHIVE_OK) return Damaged();
  const char* const name = archive_entry_pathname(found);
  const int64_t size = archive_entry_size(found);
  if (name == nullptr || archive_entry_filetype(found) != AE_IFREG || size < 0 ||
      static_cast<uint64_t>(size) > kEntryBytesMax) {
    return Damaged();
  }
  Entry entry{name, std::string(static_cast<size_t>(size), '\0'), archive_entry_perm(found)};
  for (size_t read = 0; read < entry.bytes.size();) {
    const la_ssize_t got =
        archive_read_data(archive_.get(), entry.bytes.data() + read, entry.bytes.size() - read);
    if (got <= 0) return Damaged();
    read += static_cast<size_t>(got);
  }
  return std::optional<Entry>(std::move(entry));
}

absl::Status ArchiveReader::Damaged() const {
  const char* const why = archive_error_string(archive_.get());
  return absl::DataLossError(absl::StrCat(path_, " is damaged, cut off or no backup",
                                          why == nullptr ? "" : absl::StrCat(" (", why, ")"),
                                          "; restore another one"));
}

}  // namespace berth
