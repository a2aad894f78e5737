#include "common/history/retention.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/eventlog/replay.h"
#include "common/log/log.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth {
namespace {

types::v1::Moment At(uint64_t position) {
  types::v1::Moment moment;
  moment.set_position(position);
  return moment;
}

void Warn(const LogSource& source, const absl::Status& why) {
  LogWarning("the log cannot be cut now; this is tried again",
             {{"stream", source.stream}, {"why", why.message()}});
}

}  // namespace

// A log that is going to be cut: first where is looked for, then the state there is made.
struct Retention::UnderWay {
  std::unique_ptr<LogReader> log;
  absl::Time kept_from;
  uint64_t position;  // Up to there all records are older.
  uint64_t durable;
  std::unique_ptr<LoggedState> state;
  std::optional<Replay> replay;
};

Retention::Retention(std::vector<LogSource> sources, absl::Duration kept, Executor* executor,
                     const Clock* clock)
    : sources_(std::move(sources)),
      kept_(kept),
      executor_(executor),
      clock_(clock),
      clock_zero_(clock->Now() - clock->Monotonic()) {
  executor_->PostAfter(kFirstLook, [this] { Look(0); });
}

bool Retention::ClockIsBelieved() const {
  return clock_->Now() - clock_->Monotonic() - clock_zero_ < kClockAheadMax;
}

void Retention::Look(size_t index) {
  if (index == sources_.size()) return executor_->PostAfter(kLookInterval, [this] { Look(0); });
  const LogSource& source = sources_[index];
  absl::StatusOr<std::shared_ptr<UnderWay>> begun = Begin(source);
  if (!begun.ok()) Warn(source, begun.status());
  if (begun.ok() && *begun != nullptr) return GoOn(index, *begun);
  executor_->Post([this, index] { Look(index + 1); });
}

absl::StatusOr<std::shared_ptr<Retention::UnderWay>> Retention::Begin(
    const LogSource& source) const {
  if (!source.writer->Leading().ok()) return nullptr;
  const LogWriter::Numbers numbers = source.writer->numbers();
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<LogReader> log, source.open());
  BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> oldest,
                         log->Read(numbers.cut_position, 1));
  eventlog::v1::Record record;
  if (oldest.empty() || !record.ParseFromString(oldest.front().bytes)) return nullptr;
  const absl::Time kept_from = clock_->Now() - kept_;
  if (FromTimestamp(record.time()) + kSurplus > kept_from) return nullptr;
  if (!ClockIsBelieved()) {
    return absl::FailedPreconditionError(
        "the clock was set ahead since this process has started; if it is right now, start it "
        "anew");
  }
  return std::make_shared<UnderWay>(UnderWay{std::move(log), kept_from, numbers.cut_position,
                                             numbers.position, source.writer->NewState(),
                                             std::nullopt});
}

// From the oldest record on, one by one: where a clock was set back for a while, young records have
// old times, and none before these may go.
absl::Status Retention::LookForCut(const LogSource& source, UnderWay* cut) {
  BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> read,
                         cut->log->Read(cut->position, Replay::kStepRecords));
  bool young = false;
  for (const StoredRecord& stored : read) {
    eventlog::v1::Record record;
    if (!record.ParseFromString(stored.bytes)) {
      return absl::DataLossError(absl::StrCat("stream ", source.stream, ", position ",
                                              stored.position,
                                              ": the record cannot be read; restore a backup"));
    }
    young = stored.position > cut->durable || FromTimestamp(record.time()) > cut->kept_from;
    if (young) break;
    cut->position = stored.position;
  }
  if (young || read.empty()) {
    cut->replay.emplace(source.stream, At(cut->position), cut->durable, cut->state.get());
  }
  return absl::OkStatus();
}

void Retention::GoOn(size_t index, const std::shared_ptr<UnderWay>& cut) {
  const LogSource& source = sources_[index];
  absl::StatusOr<bool> there = false;
  if (cut->replay.has_value()) {
    there = cut->replay->Step(cut->log.get());
  } else if (absl::Status looked = LookForCut(source, cut.get()); !looked.ok()) {
    there = looked;
  }
  if (there.ok() && !*there) return executor_->Post([=, this] { GoOn(index, cut); });
  executor_->Post([this, index] { Look(index + 1); });
  if (!there.ok()) return Warn(source, there.status());
  const types::v1::RecordReference& at = cut->replay->at();
  source.writer->EnqueueCut(
      {at.position(), cut->replay->hash(), cut->state->SavedFormat(), cut->state->Save()},
      FromTimestamp(at.time()), [source, position = at.position()](const absl::Status& done) {
        if (!done.ok()) return Warn(source, done);
        LogInfo("the oldest records of the log were cut off",
                {{"stream", source.stream}, {"newest", absl::StrCat(position)}});
      });
}

}  // namespace berth
