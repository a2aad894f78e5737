#include "integration/simulation/journal.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"

namespace berth::simulation {
namespace {

absl::Status Gone() { return absl::UnavailableError("the process is gone"); }

}  // namespace

void Journal::Learn(const StoredRecord& record) {
  const std::string where = absl::StrCat("stream ", stream_, ", position ", record.position);
  if (record.position <= entries_.size()) {
    if (entries_[record.position - 1].record.hash != record.hash) {
      world_->Fail(absl::StrCat(where, ": another record than the one that was stored there"));
    }
    return;
  }
  if (record.position != entries_.size() + 1) {
    return world_->Fail(absl::StrCat(where, ": follows position ", entries_.size()));
  }
  entries_.push_back({record, world_->now()});
  world_->trace().Mix(record.hash);
  if (observer_ != nullptr) observer_(record);
}

void Journal::Stored(const std::vector<StoredRecord>& records) {
  for (const StoredRecord& record : records) Learn(record);
}

void Journal::Found(uint64_t after, const std::vector<StoredRecord>& records) {
  if (records.empty() && after < entries_.size()) {
    world_->Fail(absl::StrCat("stream ", stream_, ": ends at position ", after, ", but ",
                              entries_.size(), " were stored"));
  }
  for (const StoredRecord& record : records) Learn(record);
}

WitnessedLog::WitnessedLog(std::unique_ptr<EventLog> log, Life* life, Journal* journal,
                           LogFaults* faults)
    : log_(std::move(log)), life_(life), journal_(journal), faults_(faults) {}

absl::Status WitnessedLog::Reached() const {
  if (life_->dying()) return Gone();
  if (faults_->cut_off) return absl::UnavailableError("the database cannot be reached from here");
  return absl::OkStatus();
}

absl::Status WitnessedLog::TakeLease(const LeaseHolder& holder, absl::Duration duration) {
  BERTH_RETURN_IF_ERROR(Reached());
  return log_->TakeLease(holder, duration);
}

absl::Status WitnessedLog::Append(uint64_t after, absl::Span<const StoredRecord> records,
                                  absl::Span<const RowChange> rows) {
  BERTH_RETURN_IF_ERROR(Reached());
  World* const world = life_->world();
  // The spans are the caller's, who waits here while the rest of the world goes on.
  world->Block(world->random().Between(faults_->append_least, faults_->append_most));
  const absl::Duration stop = std::exchange(faults_->stop_before_next, absl::ZeroDuration());
  if (stop > absl::ZeroDuration()) world->StopInside(stop);
  if (std::exchange(faults_->die_before_next, false)) life_->Kill();
  if (life_->dying()) return Gone();
  const absl::Status status = log_->Append(after, records, rows);
  if (const auto happens = std::exchange(faults_->after_next, nullptr)) happens();
  // Stored or not: nobody is told any more, unless a later life finds it.
  if (std::exchange(faults_->die_after_next, false)) life_->Kill();
  if (life_->dying()) return Gone();
  if (status.ok()) journal_->Stored({records.begin(), records.end()});
  return status;
}

absl::StatusOr<bool> WitnessedLog::EraseThrough(uint64_t through, size_t count_max) {
  BERTH_RETURN_IF_ERROR(Reached());
  return log_->EraseThrough(through, count_max);
}

absl::StatusOr<std::vector<StoredRecord>> WitnessedLog::Read(uint64_t after, size_t count_max) {
  BERTH_RETURN_IF_ERROR(Reached());
  absl::StatusOr<std::vector<StoredRecord>> records = log_->Read(after, count_max);
  if (records.ok() && count_max > 0) journal_->Found(after, *records);
  return records;
}

absl::StatusOr<LogReader::Rows> WitnessedLog::ReadRows() {
  BERTH_RETURN_IF_ERROR(Reached());
  return log_->ReadRows();
}

absl::StatusOr<std::optional<std::string>> WitnessedLog::GetRow(absl::string_view key) {
  BERTH_RETURN_IF_ERROR(Reached());
  return log_->GetRow(key);
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> WitnessedLog::ListRows(
    absl::string_view prefix) {
  BERTH_RETURN_IF_ERROR(Reached());
  return log_->ListRows(prefix);
}

}  // namespace berth::simulation
