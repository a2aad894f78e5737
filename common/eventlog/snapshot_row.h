#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "berth/eventlog/v1/snapshot.pb.h"
#include "common/eventlog/event_log.h"

namespace berth {

// The key of the row with the newest snapshot.
inline constexpr char kSnapshotRowKey[] = "log/snapshot";

// A snapshot as the row beside the log that it is kept in, and back.
std::string ToRow(const eventlog::v1::Snapshot& snapshot);

// kDataLoss: the row is not as it was written. kFailedPrecondition: another version of Berth wrote
// it, in a way that this one does not know.
absl::StatusOr<eventlog::v1::Snapshot> FromRow(absl::string_view row);

// The newest snapshot of the stream beside its log; nullopt: there is none, or it is of another
// format. kDataLoss, kFailedPrecondition: the one that is there cannot be used, as FromRow says or
// because the log has not the record that it is as of.
absl::StatusOr<std::optional<eventlog::v1::Snapshot>> ReadSnapshot(absl::string_view stream,
                                                                   absl::string_view state_format,
                                                                   LogReader* log);

}  // namespace berth
