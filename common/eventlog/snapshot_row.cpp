#include "common/eventlog/snapshot_row.h"

#include <zstd.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/log/log.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr uint32_t kFormat = 1;
// The fastest of the ordinary levels: the writer waits for it. States are made of names and
// numbers that come again and again, so it finds most of what there is.
constexpr int kCompressionLevel = 1;
// More than a message may be: what claims to be larger is not a snapshot.
constexpr uint64_t kSnapshotSizeMax = uint64_t{2} << 30;

}  // namespace

std::string ToRow(const eventlog::v1::Snapshot& snapshot) {
  const std::string bytes = snapshot.SerializeAsString();
  std::string compressed(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress(compressed.data(), compressed.size(), bytes.data(),
                                    bytes.size(), kCompressionLevel);
  BERTH_CHECK_MESSAGE(!ZSTD_isError(size), ZSTD_getErrorName(size));
  compressed.resize(size);

  eventlog::v1::SnapshotRow row;
  row.set_format(kFormat);
  row.set_size_bytes(bytes.size());
  row.set_digest(Blake2b256({compressed}));
  row.set_compressed(std::move(compressed));
  return row.SerializeAsString();
}

absl::StatusOr<eventlog::v1::Snapshot> FromRow(absl::string_view row) {
  eventlog::v1::SnapshotRow parsed;
  if (!parsed.ParseFromArray(row.data(), static_cast<int>(row.size()))) {
    return absl::DataLossError("the snapshot's row cannot be read");
  }
  if (parsed.format() != kFormat) {
    return absl::FailedPreconditionError(absl::StrCat("the snapshot has format ", parsed.format(),
                                                      ", which this version does not know"));
  }
  if (Blake2b256({parsed.compressed()}) != parsed.digest() ||
      parsed.size_bytes() > kSnapshotSizeMax) {
    return absl::DataLossError("the snapshot is not the one that was written");
  }
  std::string bytes(parsed.size_bytes(), '\0');
  const size_t size = ZSTD_decompress(bytes.data(), bytes.size(), parsed.compressed().data(),
                                      parsed.compressed().size());
  eventlog::v1::Snapshot snapshot;
  if (ZSTD_isError(size) || size != bytes.size() || !snapshot.ParseFromString(bytes)) {
    return absl::DataLossError("the snapshot cannot be read");
  }
  return snapshot;
}

absl::StatusOr<std::optional<eventlog::v1::Snapshot>> ReadSnapshot(absl::string_view stream,
                                                                   absl::string_view state_format,
                                                                   LogReader* log) {
  BERTH_ASSIGN_OR_RETURN(const std::optional<std::string> row, log->GetRow(kSnapshotRowKey));
  if (!row.has_value()) return std::optional<eventlog::v1::Snapshot>();
  BERTH_ASSIGN_OR_RETURN(std::optional<eventlog::v1::Snapshot> snapshot, FromRow(*row));
  if (snapshot->state_format() != state_format) {
    LogInfo("the snapshot is another version's, so the whole log is replayed",
            {{"stream", stream}});
    return std::optional<eventlog::v1::Snapshot>();
  }
  const std::string where = absl::StrCat("snapshot of stream ", snapshot->stream(), " at position ",
                                         snapshot->position());
  if (snapshot->stream() != stream || snapshot->position() == 0) {
    return absl::DataLossError(absl::StrCat(where, ": not of this stream"));
  }
  BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> at,
                         log->Read(snapshot->position() - 1, 1));
  if (at.empty() || at.front().hash != snapshot->record_hash()) {
    return absl::DataLossError(
        absl::StrCat(where, ": the log has ", at.empty() ? "no" : "another", " record there"));
  }
  return snapshot;
}

}  // namespace berth
