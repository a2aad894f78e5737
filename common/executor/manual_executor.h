#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "common/clock/manual_clock.h"
#include "common/executor/executor.h"

namespace berth {

// An executor that runs when told, on the caller's thread and on virtual time. Not thread-safe.
class ManualExecutor : public Executor {
 public:
  // `clock` outlives the executor; RunUntilIdle and Advance read it, Advance moves it.
  explicit ManualExecutor(ManualClock* clock) : clock_(clock) {}

  void Post(Step step) override { ready_.push_back(std::move(step)); }

  void PostAfter(absl::Duration delay, Step step) override {
    timers_.emplace(std::make_pair(clock_->Monotonic() + delay, timers_posted_++), std::move(step));
  }

  // Runs what is due and what that posts, until nothing is due.
  void RunUntilIdle() {
    while (true) {
      while (!timers_.empty() && timers_.begin()->first.first <= clock_->Monotonic()) {
        ready_.push_back(std::move(timers_.begin()->second));
        timers_.erase(timers_.begin());
      }
      if (ready_.empty()) return;
      Step step = std::move(ready_.front());
      ready_.pop_front();
      step();
    }
  }

  // Lets `by` pass, stopping at every timer on the way so that each runs at its own time.
  void Advance(absl::Duration by) {
    const absl::Duration end = clock_->Monotonic() + by;
    RunUntilIdle();
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      clock_->Advance(timers_.begin()->first.first - clock_->Monotonic());
      RunUntilIdle();
    }
    clock_->Advance(end - clock_->Monotonic());
    RunUntilIdle();
  }

 private:
  ManualClock* const clock_;
  std::deque<Step> ready_;
  std::map<std::pair<absl::Duration, uint64_t>, Step> timers_;
  uint64_t timers_posted_ = 0;
};

}  // namespace berth
