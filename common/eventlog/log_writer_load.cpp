// How a LogWriter comes to its working state: from a snapshot and the records after it, or from all
// records.

#include <deque>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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
  BERTH_RETURN_IF_ERROR(LoadRequestKey());
  Forget();
  if (absl::Status status = LoadSnapshot(); !status.ok()) {
    // The log cannot be reached: that says nothing of the snapshot.
    if (absl::IsUnavailable(status) || absl::IsAborted(status)) return status;
    LogWarning("a snapshot cannot be used, so the whole log is replayed; another one will be made",
               {{"stream", stream_}, {"why", status.message()}});
    Forget();
  }
  BERTH_RETURN_IF_ERROR(Replay());
  durable_position_ = position_;
  loaded_ = true;
  return absl::OkStatus();
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

absl::Status LogWriter::LoadSnapshot() {
  BERTH_ASSIGN_OR_RETURN(const std::optional<eventlog::v1::Snapshot> snapshot,
                         ReadSnapshot(stream_, machine_->SavedFormat(), log_));
  return snapshot.has_value() ? TakeUp(*snapshot) : absl::OkStatus();
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
  std::deque<StoredRecord> ahead;
  for (bool more = true; more;) {
    BERTH_ASSIGN_OR_RETURN(
        std::vector<StoredRecord> chunk,
        log_->Read(ahead.empty() ? position_ : ahead.back().position, limits_.replay_chunk));
    more = !chunk.empty();
    std::move(chunk.begin(), chunk.end(), std::back_inserter(ahead));
    for (; ahead.size() > limits_.watch_refill_records; ahead.pop_front()) {
      BERTH_RETURN_IF_ERROR(ReplayRecord(ahead.front()));
    }
    machine_->ForgetChanges();
  }
  const uint64_t refilled_after = position_;
  std::vector<std::pair<watch::v1::Revision, std::vector<TopicChange>>> refill;
  for (const StoredRecord& stored : ahead) {
    BERTH_RETURN_IF_ERROR(ReplayRecord(stored));
    refill.emplace_back(Head(), machine_->TakeChanges());
  }
  hub_.Reset(refilled_after);
  for (auto& [revision, changes] : refill) hub_.Publish(revision, std::move(changes));
  return absl::OkStatus();
}

absl::Status LogWriter::ReplayRecord(const StoredRecord& stored) {
  BERTH_RETURN_IF_ERROR(ReadChained(stream_, position_, hash_, stored, &replayed_));
  BERTH_RETURN_IF_ERROR(ApplyRecord(replayed_, machine_));
  Advance(stored, replayed_);
  return absl::OkStatus();
}

bool LogWriter::SnapshotIsDue() const {
  return position_ >= no_snapshot_before_ &&
         position_ - snapshot_position_ >= limits_.snapshot_records &&
         bytes_since_snapshot_ >= snapshot_bytes_;
}

RowChange LogWriter::MakeSnapshot() {
  eventlog::v1::Snapshot snapshot;
  snapshot.set_stream(stream_);
  snapshot.set_position(position_);
  snapshot.set_record_hash(hash_);
  *snapshot.mutable_record_time() = ToTimestamp(record_time_);
  snapshot.set_state_format(machine_->SavedFormat());
  snapshot.set_state(machine_->Save());
  *snapshot.mutable_requests() = requests_->Save();
  snapshot_position_ = position_;
  snapshot_bytes_ = snapshot.state().size() + snapshot.requests().ByteSizeLong();
  bytes_since_snapshot_ = 0;
  return {kSnapshotRowKey, ToRow(snapshot)};
}

}  // namespace berth
