#include "common/eventlog/record_chain.h"

#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"
#include "common/status/error_details.h"

namespace berth {
namespace {

constexpr size_t kHashSize = 32;

}  // namespace

std::string HashBeforeFirstRecord() { return std::string(kHashSize, '\0'); }

std::string ChainedHash(absl::string_view hash_before, absl::string_view bytes) {
  return Blake2b256({hash_before, bytes});
}

absl::Status ReadChained(absl::string_view stream, uint64_t after, absl::string_view hash_before,
                         const StoredRecord& stored, eventlog::v1::Record* record) {
  const auto lost = [&](const absl::AlphaNum& what) {
    return absl::DataLossError(absl::StrCat("stream ", stream, ", position ", stored.position, ": ",
                                            what, "; restore a backup"));
  };
  if (stored.position != after + 1)
    return lost(absl::StrCat("position ", after + 1, " is missing"));
  if (ChainedHash(hash_before, stored.bytes) != stored.hash) {
    return lost("the record is not the one that was written (its hash does not chain)");
  }
  if (!record->ParseFromString(stored.bytes) || record->position() != stored.position ||
      record->stream() != stream) {
    return lost("the record cannot be read");
  }
  return absl::OkStatus();
}

absl::Status ApplyRecord(const eventlog::v1::Record& record, LoggedState* state) {
  for (const eventlog::v1::StoredEvent& event : record.events()) {
    if (absl::Status status = state->Apply(event); !status.ok()) {
      return Annotate(status,
                      absl::StrCat("stream ", record.stream(), ", position ", record.position()));
    }
  }
  return absl::OkStatus();
}

}  // namespace berth
