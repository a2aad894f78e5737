#include "common/eventlog/replay.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/eventlog/log_begin.h"
#include "common/eventlog/record_chain.h"
#include "common/eventlog/snapshot_row.h"
#include "common/log/log.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth {

Replay::Replay(std::string stream, types::v1::Moment moment, uint64_t durable, LoggedState* state)
    : stream_(std::move(stream)), moment_(std::move(moment)), durable_(durable), state_(state) {
  state_->Reset();
}

absl::StatusOr<bool> Replay::Step(LogReader* log) {
  const absl::Status done = at_.position() == 0 ? Begin(log) : ApplyNext(log);
  BERTH_RETURN_IF_ERROR(UnlessCutSince(stream_, begin_.position(), done, log));
  return position_ == at_.position();
}

absl::Status Replay::Begin(LogReader* log) {
  BERTH_ASSIGN_OR_RETURN(begin_, ReadLogBegin(stream_, log));
  BERTH_RETURN_IF_ERROR(FindMoment(log));
  BERTH_ASSIGN_OR_RETURN(const bool at_snapshot, BeginAtSnapshot(log));
  if (at_snapshot) return absl::OkStatus();
  position_ = begin_.position();
  hash_ = begin_.record_hash();
  return LoadBase(stream_, begin_, log, state_);
}

absl::Status Replay::FindMoment(LogReader* log) {
  uint64_t position = 0;
  switch (moment_.moment_case()) {
    case types::v1::Moment::kTime: {
      BERTH_ASSIGN_OR_RETURN(position, LastUntil(FromTimestamp(moment_.time()), log));
      break;
    }
    case types::v1::Moment::kPosition:
      position = moment_.position();
      if (position == 0 || position > durable_) {
        return absl::OutOfRangeError(absl::StrCat("the log of ", stream_, " has no position ",
                                                  position, "; its newest is ", durable_));
      }
      if (position <= begin_.position()) {
        return absl::OutOfRangeError(
            absl::StrCat("the log of ", stream_, " begins at position ", begin_.position() + 1,
                         "; what was before was cut off, as its retention says"));
      }
      break;
    case types::v1::Moment::MOMENT_NOT_SET:
      return absl::InvalidArgumentError("a moment is a time or a position");
  }
  BERTH_ASSIGN_OR_RETURN(const absl::Time time, TimeAt(position, log));
  at_.set_stream(stream_);
  at_.set_position(position);
  *at_.mutable_time() = ToTimestamp(time);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Replay::LastUntil(absl::Time time, LogReader* log) const {
  const uint64_t first = begin_.position() + 1;
  BERTH_ASSIGN_OR_RETURN(const absl::Time begin, TimeAt(first, log));
  if (time < begin) {
    return absl::OutOfRangeError(
        absl::StrCat("the log of ", stream_, " begins at ",
                     absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", begin, absl::UTCTimeZone()),
                     first == 1 ? "; of before, nothing is known"
                                : "; what was before was cut off, as its retention says"));
  }
  uint64_t until = first;
  for (uint64_t after = durable_ + 1; after - until > 1;) {
    const uint64_t middle = until + (after - until) / 2;
    BERTH_ASSIGN_OR_RETURN(const absl::Time then, TimeAt(middle, log));
    (then <= time ? until : after) = middle;
  }
  return until;
}

absl::StatusOr<absl::Time> Replay::TimeAt(uint64_t position, LogReader* log) const {
  BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> read, log->Read(position - 1, 1));
  eventlog::v1::Record record;
  if (read.empty() || !record.ParseFromString(read.front().bytes)) {
    return absl::DataLossError(absl::StrCat("stream ", stream_, ", position ", position,
                                            ": the record cannot be read; restore a backup"));
  }
  return FromTimestamp(record.time());
}

absl::StatusOr<bool> Replay::BeginAtSnapshot(LogReader* log) {
  const auto snapshot = ReadSnapshot(stream_, state_->SavedFormat(), log);
  if (absl::IsUnavailable(snapshot.status())) return snapshot.status();
  if (!snapshot.ok()) {
    LogWarning("a snapshot cannot be used, so the past is replayed from the beginning",
               {{"stream", stream_}, {"why", snapshot.status().message()}});
    return false;
  }
  if (!snapshot->has_value() || (*snapshot)->position() > at_.position()) return false;
  if (!state_->LoadSaved((*snapshot)->state()).ok()) return false;
  position_ = (*snapshot)->position();
  hash_ = (*snapshot)->record_hash();
  return true;
}

absl::Status Replay::ApplyNext(LogReader* log) {
  const auto wanted =
      static_cast<size_t>(std::min<uint64_t>(kStepRecords, at_.position() - position_));
  BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> read, log->Read(position_, wanted));
  if (read.empty()) {
    return absl::DataLossError(absl::StrCat("stream ", stream_, ": position ", position_ + 1,
                                            " is missing; restore a backup"));
  }
  eventlog::v1::Record record;
  for (const StoredRecord& stored : read) {
    BERTH_RETURN_IF_ERROR(ReadChained(stream_, position_, hash_, stored, &record));
    BERTH_RETURN_IF_ERROR(ApplyRecord(record, state_));
    position_ = stored.position;
    hash_ = stored.hash;
  }
  return absl::OkStatus();
}

}  // namespace berth
