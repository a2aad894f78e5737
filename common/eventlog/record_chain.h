#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "berth/eventlog/v1/record.pb.h"
#include "common/eventlog/event_log.h"
#include "common/eventlog/logged_state.h"

namespace berth {

// How records follow one another, and make a state: the same for who writes a log, who verifies it
// and who restores it.

// What the first record is chained to: 32 zero bytes.
std::string HashBeforeFirstRecord();

// The hash of a record that follows the one with `hash_before`.
std::string ChainedHash(absl::string_view hash_before, absl::string_view bytes);

// Makes `record` the one that `stored` holds, which has to follow the one at `after`. Whoever reads
// many gives the same `record` each time, as its memory is used again. kDataLoss: it does not
// follow, or is not the one that was written; the message names stream and position.
absl::Status ReadChained(absl::string_view stream, uint64_t after, absl::string_view hash_before,
                         const StoredRecord& stored, eventlog::v1::Record* record);

// Applies the record's events. Errors as LoggedState::Apply's, with stream and position.
absl::Status ApplyRecord(const eventlog::v1::Record& record, LoggedState* state);

}  // namespace berth
