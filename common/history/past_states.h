#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/executor/executor.h"
#include "common/history/log_source.h"
#include "common/rpc/dispatcher.h"

namespace berth {

// Answers what a process's services are asked about their past: replays a log, through a reader of
// its own, into a state that the question is then put to (rpc::StateDispatcher::Query).
//
// A replay is done a bounded piece at a time, on an executor that no writer uses, so that several
// take turns and nobody waits for them.
class PastStates {
 public:
  // So many states of the past a process makes at once, and so long it takes over one: whoever asks
  // for a state waits no longer, and a state may be large.
  static constexpr size_t kReplaysMax = 4;
  static constexpr absl::Duration kReplayMax = absl::Seconds(60);

  // From now on the dispatchers of `sources` ask here. What is passed in outlives this, and the
  // executor is stopped before this is destroyed.
  PastStates(const std::vector<LogSource>& sources, Executor* executor, const Clock* clock);

 private:
  struct UnderWay;

  void Begin(const LogSource& source, const types::v1::Moment& moment,
             std::shared_ptr<LoggedState> state, rpc::Dispatcher::Restored restored);
  void GoOn(const std::shared_ptr<UnderWay>& replay);

  Executor* const executor_;
  const Clock* const clock_;
  size_t under_way_ = 0;  // On the executor only.
};

}  // namespace berth
