#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/executor/executor.h"
#include "common/history/log_source.h"

namespace berth {

// Cuts what is older than `kept` off the logs that this process leads, about once a day.
//
// A log is cut before its first record that is younger. The state there is made by a replay,
// through a reader of its own and a bounded piece at a time, on an executor that no writer uses.
class Retention {
 public:
  // A log tells for so long at least who did what.
  static constexpr int kDaysMin = 90;
  // A log may have so much more than is kept before it is cut again.
  static constexpr absl::Duration kSurplus = absl::Hours(24);
  static constexpr absl::Duration kFirstLook = absl::Minutes(1);
  static constexpr absl::Duration kLookInterval = absl::Hours(1);
  // A clock that was set ahead by so much since this process has started is not believed: by it,
  // what was just written could be old.
  static constexpr absl::Duration kClockAheadMax = absl::Hours(1);

  // What is passed in outlives this, and the executor is stopped before this is destroyed.
  Retention(std::vector<LogSource> sources, absl::Duration kept, Executor* executor,
            const Clock* clock);

 private:
  struct UnderWay;

  // Looks at all of the logs, one after another, and again later.
  void Look(size_t index);
  // Null: it need not be cut.
  absl::StatusOr<std::shared_ptr<UnderWay>> Begin(const LogSource& source) const;
  static absl::Status LookForCut(const LogSource& source, UnderWay* cut);
  void GoOn(size_t index, const std::shared_ptr<UnderWay>& cut);
  bool ClockIsBelieved() const;

  const std::vector<LogSource> sources_;
  const absl::Duration kept_;
  Executor* const executor_;
  const Clock* const clock_;
  const absl::Time clock_zero_;  // The wall clock's at 0 of the monotonic one, at the start.
};

}  // namespace berth
