#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "berth/eventlog/v1/record.pb.h"
#include "common/eventlog/event_log.h"

namespace berth {

inline constexpr size_t kRecordHashSize = 32;

// The record that follows the one at position `after` with the hash `after_hash`; before the first
// record these are 0 and zero bytes. kDataLoss: a record is missing between the two, or this one is
// not what was written.
absl::StatusOr<eventlog::v1::Record> ReadChained(absl::string_view stream, uint64_t after,
                                                 absl::string_view after_hash,
                                                 const StoredRecord& stored);

}  // namespace berth
