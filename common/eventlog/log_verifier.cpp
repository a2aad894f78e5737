#include "common/eventlog/log_verifier.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/eventlog/log_begin.h"
#include "common/eventlog/record_chain.h"
#include "common/eventlog/snapshot_row.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"

namespace berth {

LogVerifier::LogVerifier(std::string stream, std::unique_ptr<LoggedState> state)
    : stream_(std::move(stream)), state_(std::move(state)) {}

absl::Status LogVerifier::ExpectRowsOf(LogReader* reader) {
  absl::StatusOr<LogReader::Rows> rows = reader->ReadRows();
  if (absl::IsDataLoss(rows.status())) {
    rows_fault_ = rows.status();
    return absl::OkStatus();
  }
  BERTH_RETURN_IF_ERROR(rows.status());
  rows_ = RowsByKey(std::move_iterator(rows->rows.begin()), std::move_iterator(rows->rows.end()));
  rows_position_ = rows->position;
  if (rows_.contains(kRestoringRowKey)) return RestoreNotFinished(stream_);
  const auto row = rows_.find(kSnapshotRowKey);
  if (row == rows_.end()) return absl::OkStatus();
  absl::StatusOr<eventlog::v1::Snapshot> snapshot = FromRow(row->second);
  // One that another version wrote is not taken up by this one either: the log is replayed.
  if (absl::IsFailedPrecondition(snapshot.status())) return absl::OkStatus();
  if (!snapshot.ok()) {
    snapshot_fault_ = snapshot.status();
    return absl::OkStatus();
  }
  if (snapshot->state_format() != state_->SavedFormat()) return absl::OkStatus();
  snapshot_ = SavedState{snapshot->position(), snapshot->record_hash(), snapshot->state_format(),
                         std::move(*snapshot->mutable_state())};
  return absl::OkStatus();
}

uint64_t LogVerifier::expected_end() const {
  return std::max({served_.has_value() ? served_->position : 0, snapshot_position(),
                   rows_position_.value_or(0)});
}

absl::StatusOr<bool> LogVerifier::Step(LogReader* reader, size_t count_max) {
  if (!std::exchange(begun_, true)) {
    const absl::Status begun = Begin(reader);  // What begin_ says is from here on.
    BERTH_RETURN_IF_ERROR(UnlessCutSince(stream_, begin_.position(), begun, reader));
  }
  const absl::StatusOr<bool> more = ReadOn(reader, count_max);
  BERTH_RETURN_IF_ERROR(UnlessCutSince(stream_, begin_.position(), more.status(), reader));
  return *more;
}

absl::Status LogVerifier::Begin(LogReader* reader) {
  if (rows_position_.has_value()) {
    const auto row = rows_.find(kLogBeginRowKey);
    BERTH_ASSIGN_OR_RETURN(
        begin_,
        LogBeginFromRow(stream_, row == rows_.end() ? std::nullopt : std::optional(row->second)));
  } else {
    BERTH_ASSIGN_OR_RETURN(begin_, ReadLogBegin(stream_, reader));
  }
  BERTH_RETURN_IF_ERROR(LoadBase(stream_, begin_, reader, state_.get()));
  position_ = begin_.position();
  hash_ = begin_.record_hash();
  if (snapshot_.has_value() && snapshot_->position < position_) {
    return Fault(snapshot_->position,
                 "there is a snapshot of it, although it was cut off; keep a "
                 "copy of the log, report this, and restore a backup");
  }
  return Compare();
}

absl::StatusOr<bool> LogVerifier::ReadOn(LogReader* reader, size_t count_max) {
  const absl::StatusOr<std::vector<StoredRecord>> records = reader->Read(position_, count_max);
  if (absl::IsDataLoss(records.status())) {
    // One by one, to find out which record it is.
    if (count_max > 1) return ReadOn(reader, 1);
    return Fault(position_ + 1, absl::StrCat("it cannot be read, restore a backup: ",
                                             std::string(records.status().message())));
  }
  BERTH_RETURN_IF_ERROR(records.status());
  for (const StoredRecord& stored : *records) {
    BERTH_RETURN_IF_ERROR(Take(stored));
    BERTH_RETURN_IF_ERROR(Compare());
  }
  if (!records->empty()) return true;
  if (!rows_fault_.ok()) {
    return Fault(position_,
                 absl::StrCat("the rows beside the log cannot be read, restore a backup: ",
                              std::string(rows_fault_.message())));
  }
  if (begin_.position() != 0 && !begin_recorded_) {
    return Fault(begin_.position(),
                 "no record says that the log was cut there; keep a copy of the log, report this, "
                 "and restore a backup");
  }
  if (position_ >= expected_end()) return false;
  return Fault(position_ + 1, absl::StrCat("the log ends before it, and has had ", expected_end(),
                                           " records; restore a backup"));
}

absl::Status LogVerifier::Take(const StoredRecord& stored) {
  BERTH_RETURN_IF_ERROR(ReadChained(stream_, position_, hash_, stored, &record_));
  BERTH_RETURN_IF_ERROR(ApplyRecord(record_, state_.get()));
  position_ = stored.position;
  hash_ = stored.hash;
  if (const std::optional<eventlog::v1::LogBegin> cut = CutBy(record_)) {
    begin_recorded_ = begin_recorded_ || cut->SerializeAsString() == begin_.SerializeAsString();
  }
  return absl::OkStatus();
}

absl::Status LogVerifier::Compare() const {
  if (rows_position_ == position_) {
    if (!snapshot_fault_.ok()) {
      return Fault(position_, absl::StrCat(std::string(snapshot_fault_.message()),
                                           "; check the disk; until the service has made another "
                                           "snapshot, its starts replay the whole log"));
    }
    if (absl::Status status = state_->CheckRows(rows_); !status.ok()) {
      return Annotate(status, absl::StrCat("stream ", stream_, ", position ", position_));
    }
  }
  if (snapshot_.has_value() && snapshot_->position == position_) {
    BERTH_RETURN_IF_ERROR(
        CompareWith(*snapshot_,
                    "the snapshot is not what the log gives; keep a copy of the log, report this, "
                    "and restore a backup"));
  }
  if (served_.has_value() && served_->position == position_) {
    BERTH_RETURN_IF_ERROR(
        CompareWith(*served_,
                    "the state that is served is not what the log gives; keep a copy of the log, "
                    "report this, and start the service anew"));
  }
  return absl::OkStatus();
}

absl::Status LogVerifier::CompareWith(const SavedState& saved,
                                      const std::string& difference) const {
  if (saved.position != 0 && saved.record_hash != hash_) {
    return Fault(position_,
                 "the log has another record there than the one that was served; "
                 "restore a backup");
  }
  if (saved.bytes != state_->Save()) return Fault(position_, difference);
  return absl::OkStatus();
}

absl::Status LogVerifier::Fault(uint64_t position, const std::string& what) const {
  return absl::DataLossError(absl::StrCat("stream ", stream_, ", position ", position, ": ", what));
}

}  // namespace berth
