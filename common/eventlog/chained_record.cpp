#include "common/eventlog/chained_record.h"

#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"

namespace berth {

absl::StatusOr<eventlog::v1::Record> ReadChained(absl::string_view stream, uint64_t after,
                                                 absl::string_view after_hash,
                                                 const StoredRecord& stored) {
  const std::string where = absl::StrCat("stream ", stream, ", position ", stored.position);
  if (stored.position != after + 1) {
    return absl::DataLossError(
        absl::StrCat(where, ": position ", after + 1, " is missing; restore a backup"));
  }
  if (Blake2b256({after_hash, stored.bytes}) != stored.hash) {
    return absl::DataLossError(
        absl::StrCat(where,
                     ": the record is not the one that was written (its hash does not chain); "
                     "restore a backup"));
  }
  eventlog::v1::Record record;
  if (!record.ParseFromString(stored.bytes) || record.position() != stored.position ||
      record.stream() != stream) {
    return absl::DataLossError(absl::StrCat(where, ": the record cannot be read"));
  }
  return record;
}

}  // namespace berth
