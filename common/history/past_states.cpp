#include "common/history/past_states.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/eventlog/replay.h"
#include "common/history/too_many.h"

namespace berth {

struct PastStates::UnderWay {
  std::string stream;
  std::shared_ptr<LoggedState> state;
  std::unique_ptr<LogReader> log;
  Replay replay;
  absl::Duration until;  // By the monotonic clock.
  rpc::Dispatcher::Restored restored;
};

PastStates::PastStates(const std::vector<LogSource>& sources, Executor* executor,
                       const Clock* clock)
    : executor_(executor), clock_(clock) {
  for (const LogSource& source : sources) {
    source.dispatcher->SetPast([this, source](const types::v1::Moment& moment,
                                              std::shared_ptr<LoggedState> state,
                                              rpc::Dispatcher::Restored restored) {
      executor_->Post([this, source, moment, state = std::move(state),
                       restored = std::move(restored)] { Begin(source, moment, state, restored); });
    });
  }
}

void PastStates::Begin(const LogSource& source, const types::v1::Moment& moment,
                       std::shared_ptr<LoggedState> state, rpc::Dispatcher::Restored restored) {
  if (const absl::Status leading = source.writer->Leading(); !leading.ok()) {
    return restored(leading);
  }
  if (under_way_ == kReplaysMax) return restored(TooMany("replays of the past", kReplaysMax));
  absl::StatusOr<std::unique_ptr<LogReader>> log = source.open();
  if (!log.ok()) return restored(log.status());
  ++under_way_;
  LoggedState* const replayed = state.get();
  GoOn(std::make_shared<UnderWay>(
      UnderWay{source.stream, std::move(state), *std::move(log),
               Replay(source.stream, moment, source.writer->numbers().position, replayed),
               clock_->Monotonic() + kReplayMax, std::move(restored)}));
}

void PastStates::GoOn(const std::shared_ptr<UnderWay>& replay) {
  absl::StatusOr<bool> there = replay->replay.Step(replay->log.get());
  if (there.ok() && !*there) {
    if (clock_->Monotonic() < replay->until) return executor_->Post([=, this] { GoOn(replay); });
    there = absl::DeadlineExceededError(absl::StrCat("the log of ", replay->stream,
                                                     " could not be replayed up to there within ",
                                                     absl::FormatDuration(kReplayMax)));
  }
  --under_way_;
  replay->log.reset();
  if (!there.ok()) return replay->restored(there.status());
  replay->restored(replay->replay.at());
}

}  // namespace berth
