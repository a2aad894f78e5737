#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "berth/eventlog/v1/record.pb.h"
#include "berth/eventlog/v1/snapshot.pb.h"
#include "common/eventlog/event_log.h"
#include "common/eventlog/logged_state.h"

namespace berth {

// Where a log begins: at its first record, with a state before any event; or, once its oldest
// records were cut off, after the newest of those, with the state that they had made (its base).
//
// A cut is a record, which chains like any other, and two rows that are put with it: the LogBegin
// that this record answers, and the base. Only then are the records erased, a piece at a time, so
// that a log may still have some that nobody reads any more.

// The method of a record that cuts a log.
inline constexpr char kLogCut[] = "LogCut";
// The keys of the two rows: a serialised LogBegin, and a snapshot as snapshot_row.h stores it.
inline constexpr char kLogBeginRowKey[] = "log/begin";
inline constexpr char kBaseRowKey[] = "log/base";

// The key of a row that is there while a log is being restored, a piece at a time: until it goes,
// the log is not whole, and nobody may lead or follow it.
inline constexpr char kRestoringRowKey[] = "log/restoring";
// The refusal of such a log.
absl::Status RestoreNotFinished(absl::string_view stream);

// Of a log that was not cut: position 0.
eventlog::v1::LogBegin WholeLog();

// kDataLoss: the row cannot be read.
absl::StatusOr<eventlog::v1::LogBegin> LogBeginFromRow(absl::string_view stream,
                                                       const std::optional<std::string>& row);
absl::StatusOr<eventlog::v1::LogBegin> ReadLogBegin(absl::string_view stream, LogReader* log);

// Brings `state` to where the log begins. kDataLoss: the base is missing, is not the one that was
// put, or is one that this version of Berth cannot read.
absl::Status LoadBase(absl::string_view stream, const eventlog::v1::LogBegin& begin, LogReader* log,
                      LoggedState* state);

// Where the log began once `record` was stored, if that is the record of a cut.
std::optional<eventlog::v1::LogBegin> CutBy(const eventlog::v1::Record& record);

// What `status`, of reading a log that was cut at `cut_position` when the reader began, means: it
// may have been cut since. kUnavailable, to be tried again: it was, which is why something is
// missing.
absl::Status UnlessCutSince(absl::string_view stream, uint64_t cut_position, absl::Status status,
                            LogReader* log);

}  // namespace berth
