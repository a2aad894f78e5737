// How a LogWriter comes to its working state: from a snapshot and the records after it, or from all
// records that the log has; and how it gives up the oldest of those.

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"
#include "common/eventlog/checked_records.h"
#include "common/eventlog/log_begin.h"
#include "common/eventlog/log_writer.h"
#include "common/eventlog/record_chain.h"
#include "common/eventlog/snapshot_row.h"
#include "common/log/log.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth {

absl::Status LogWriter::Load() {
  loaded_ = false;
  BERTH_ASSIGN_OR_RETURN(const std::optional<std::string> restoring,
                         log_->GetRow(kRestoringRowKey));
  if (restoring.has_value()) return RestoreNotFinished(stream_);
  BERTH_RETURN_IF_ERROR(LoadRequestKey());
  BERTH_ASSIGN_OR_RETURN(const eventlog::v1::LogBegin begin, ReadLogBegin(stream_, log_));
  BeginsAt(begin);
  // Where another process leads, it may cut the log meanwhile.
  BERTH_RETURN_IF_ERROR(UnlessCutSince(stream_, begin.position(), LoadState(), log_));
  durable_position_ = position_;
  loaded_ = true;
  return absl::OkStatus();
}

absl::Status LogWriter::LoadState() {
  Forget();
  absl::StatusOr<bool> at_snapshot = LoadSnapshot();
  if (!at_snapshot.ok()) {
    // The log cannot be reached: that says nothing of the snapshot.
    if (absl::IsUnavailable(at_snapshot.status()) || absl::IsAborted(at_snapshot.status())) {
      return at_snapshot.status();
    }
    LogWarning("a snapshot cannot be used, so the whole log is replayed; another one will be made",
               {{"stream", stream_}, {"why", at_snapshot.status().message()}});
    Forget();
    at_snapshot = false;
  }
  if (!*at_snapshot) {
    BERTH_RETURN_IF_ERROR(LoadBase(stream_, begin_, log_, machine_));
    position_ = begin_.position();
    hash_ = begin_.record_hash();
    record_time_ = FromTimestamp(begin_.record_time());
  }
  return Replay();
}

void LogWriter::BeginsAt(const eventlog::v1::LogBegin& begin) {
  begin_ = begin;
  cut_position_ = begin.position();
}

absl::Status LogWriter::LoadRequestKey() {
  BERTH_ASSIGN_OR_RETURN(const std::optional<std::string> key, log_->GetRow(kRequestKeyRow));
  request_key_stored_ = key.has_value();
  request_key_ = key.has_value() ? *key : absl::StrCat(ids_->NewNonce(), ids_->NewNonce());
  return absl::OkStatus();
}

void LogWriter::Forget() {
  machine_->Reset();
  position_ = 0;
  hash_ = HashBeforeFirstRecord();
  record_time_ = absl::Time();
  requests_.emplace(limits_.request_ids_max, request_key_);
  snapshot_position_ = 0;
  snapshot_bytes_ = 0;
  bytes_since_snapshot_ = 0;
}

absl::StatusOr<bool> LogWriter::LoadSnapshot() {
  BERTH_ASSIGN_OR_RETURN(const std::optional<eventlog::v1::Snapshot> snapshot,
                         ReadSnapshot(stream_, machine_->SavedFormat(), log_));
  if (!snapshot.has_value()) return false;
  BERTH_RETURN_IF_ERROR(TakeUp(*snapshot));
  return true;
}

absl::Status LogWriter::TakeUp(const eventlog::v1::Snapshot& snapshot) {
  const std::string where =
      absl::StrCat("snapshot of stream ", stream_, " at position ", snapshot.position());
  if (absl::Status status = machine_->LoadSaved(snapshot.state()); !status.ok()) {
    return Annotate(status, where);
  }
  if (!requests_->Load(snapshot.requests())) {
    return absl::DataLossError(absl::StrCat(where, ": its requests cannot be read"));
  }
  position_ = snapshot.position();
  hash_ = snapshot.record_hash();
  record_time_ = FromTimestamp(snapshot.record_time());
  snapshot_position_ = position_;
  snapshot_bytes_ = snapshot.state().size() + snapshot.requests().ByteSizeLong();
  return absl::OkStatus();
}

absl::Status LogWriter::Replay() {
  // The hub's rings hold what the last records changed, so that watchers can resume. Of all others
  // nobody wants to know what they changed, so reading is that far ahead. What a snapshot covers is
  // not replayed for the rings: a watcher that was that far behind gets everything anew, which is
  // seldom, as bookmarks keep idle ones close to the end.
  machine_->NoteChanges(false);
  CheckedRecords ahead(stream_, position_, hash_, limits_.replay_chunk, log_);
  for (bool more = true; more;) {
    BERTH_ASSIGN_OR_RETURN(more, ahead.ReadOn());
    for (; ahead.size() > limits_.watch_refill_records; ahead.Pop()) {
      BERTH_RETURN_IF_ERROR(ApplyStored(ahead.stored(), ahead.record()));
    }
  }
  machine_->NoteChanges(true);
  const uint64_t refilled_after = position_;
  std::vector<std::pair<watch::v1::Revision, std::vector<TopicChange>>> refill;
  for (; ahead.size() > 0; ahead.Pop()) {
    BERTH_RETURN_IF_ERROR(ApplyStored(ahead.stored(), ahead.record()));
    refill.emplace_back(Head(), machine_->TakeChanges());
  }
  hub_.Reset(refilled_after);
  for (auto& [revision, changes] : refill) hub_.Publish(revision, std::move(changes));
  return absl::OkStatus();
}

absl::Status LogWriter::ApplyStored(const StoredRecord& stored,
                                    const eventlog::v1::Record& record) {
  BERTH_RETURN_IF_ERROR(ApplyRecord(record, machine_));
  Advance(stored, record);
  return absl::OkStatus();
}

absl::Status LogWriter::ReplayRecord(const StoredRecord& stored) {
  BERTH_RETURN_IF_ERROR(ReadChained(stream_, position_, hash_, stored, &replayed_));
  return ApplyStored(stored, replayed_);
}

bool LogWriter::SnapshotIsDue() const {
  return position_ >= no_snapshot_before_ &&
         position_ - snapshot_position_ >= limits_.snapshot_records &&
         bytes_since_snapshot_ >= snapshot_bytes_;
}

eventlog::v1::Snapshot LogWriter::ToSnapshot(const SavedState& saved,
                                             absl::Time record_time) const {
  eventlog::v1::Snapshot snapshot;
  snapshot.set_stream(stream_);
  snapshot.set_position(saved.position);
  snapshot.set_record_hash(saved.record_hash);
  *snapshot.mutable_record_time() = ToTimestamp(record_time);
  snapshot.set_state_format(saved.format);
  snapshot.set_state_version(machine_->StateVersion());
  snapshot.set_state(saved.bytes);
  return snapshot;
}

RowChange LogWriter::MakeSnapshot() {
  eventlog::v1::Snapshot snapshot =
      ToSnapshot({position_, hash_, machine_->SavedFormat(), machine_->Save()}, record_time_);
  *snapshot.mutable_requests() = requests_->Save();
  snapshot_position_ = position_;
  snapshot_bytes_ = snapshot.state().size() + snapshot.requests().ByteSizeLong();
  bytes_since_snapshot_ = 0;
  return {kSnapshotRowKey, ToRow(snapshot)};
}

void LogWriter::EnqueueCut(const SavedState& base, absl::Time record_time,
                           std::function<void(absl::Status)> done) {
  const eventlog::v1::Snapshot snapshot = ToSnapshot(base, record_time);
  std::string row = ToRow(snapshot);
  eventlog::v1::LogBegin begin;
  begin.set_position(base.position);
  begin.set_record_hash(base.record_hash);
  *begin.mutable_record_time() = snapshot.record_time();
  begin.set_base_digest(Blake2b256({row}));

  const auto decide = [this, begin,
                       row = std::move(row)](const DecisionContext&) -> absl::StatusOr<Outcome> {
    if (begin.position() <= begin_.position() || begin.position() > position_) {
      return absl::FailedPreconditionError(absl::StrCat("the log of ", stream_, " has no record ",
                                                        begin.position(), " to be cut off"));
    }
    Outcome outcome;
    outcome.answer = begin.SerializeAsString();
    outcome.rows = {{kLogBeginRowKey, outcome.answer}, {kBaseRowKey, row}};
    if (snapshot_position_ <= begin.position()) {
      // Its record goes, so that nobody could tell any more whether it is of this history.
      outcome.rows.push_back({kSnapshotRowKey, std::nullopt});
      snapshot_position_ = 0;
      snapshot_bytes_ = 0;
    }
    return outcome;
  };
  CommandOrigin origin;
  origin.principal = holder_.name;
  origin.method = kLogCut;
  EnqueueCommand(std::move(origin), Recorded::kOnChange, decide,
                 [this, done = std::move(done)](const absl::StatusOr<std::string>& answer) {
                   if (answer.ok()) EraseCutOff();
                   done(answer.status());
                 });
}

void LogWriter::EraseCutOff() {
  if (!serving_ || begin_.position() == 0) return;
  const absl::StatusOr<bool> more = log_->EraseThrough(begin_.position(), limits_.erase_chunk);
  // Once, and not at every attempt.
  if (const bool failed = !more.ok(); std::exchange(erase_failed_, failed) != failed && failed) {
    LogWarning("what was cut off the log cannot be erased now; this is tried again",
               {{"stream", stream_}, {"why", more.status().message()}});
  }
  if (more.ok() && !*more) return;
  executor_->PostAfter(more.ok() ? limits_.erase_interval : limits_.retry_delay,
                       [this, term = terms_] {
                         if (term == terms_) EraseCutOff();
                       });
}

}  // namespace berth
