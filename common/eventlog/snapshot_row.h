#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "berth/eventlog/v1/snapshot.pb.h"

namespace berth {

// A snapshot as the row beside the log that it is kept in, and back.
std::string ToRow(const eventlog::v1::Snapshot& snapshot);

// kDataLoss: the row is not as it was written. kFailedPrecondition: another version of Berth wrote
// it, in a way that this one does not know.
absl::StatusOr<eventlog::v1::Snapshot> FromRow(absl::string_view row);

}  // namespace berth
