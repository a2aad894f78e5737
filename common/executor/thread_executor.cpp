#include "common/executor/thread_executor.h"

#include <pthread.h>

#include <optional>

#include "common/clock/system_clock.h"
#include "common/sync/mutex.h"

namespace berth {

ThreadExecutor::ThreadExecutor(std::string name)
    : name_(name.substr(0, 15)), thread_([this] { Run(); }) {}

ThreadExecutor::~ThreadExecutor() { Stop(); }

void ThreadExecutor::Post(Step step) {
  MutexLock lock(&mutex_);
  if (!stopping_) ready_.push_back(std::move(step));
}

void ThreadExecutor::PostAfter(absl::Duration delay, Step step) {
  const absl::Duration due = SystemClock().Monotonic() + delay;
  MutexLock lock(&mutex_);
  if (!stopping_) timers_.emplace(std::make_pair(due, timers_posted_++), std::move(step));
}

void ThreadExecutor::Stop() {
  std::deque<Step> dropped;
  std::map<std::pair<absl::Duration, uint64_t>, Step> dropped_timers;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    // Destroyed outside the lock: what a step holds may post again from its destructor.
    dropped.swap(ready_);
    dropped_timers.swap(timers_);
  }
  if (thread_.joinable()) thread_.join();
}

absl::Duration ThreadExecutor::FirstDue() const {
  return timers_.empty() ? absl::InfiniteDuration() : timers_.begin()->first.first;
}

void ThreadExecutor::Run() {
  pthread_setname_np(pthread_self(), name_.c_str());
  SystemClock clock;
  while (true) {
    Step step;
    {
      MutexLock lock(&mutex_);
      while (!stopping_) {
        const absl::Duration now = clock.Monotonic();
        while (!timers_.empty() && timers_.begin()->first.first <= now) {
          ready_.push_back(std::move(timers_.begin()->second));
          timers_.erase(timers_.begin());
        }
        if (!ready_.empty()) break;
        const absl::Duration wake = FirstDue();
        auto changed = [this, wake]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
          return stopping_ || !ready_.empty() || FirstDue() < wake;
        };
        mutex_.AwaitWithTimeout(changed, wake - now);
      }
      if (stopping_) return;
      step = std::move(ready_.front());
      ready_.pop_front();
    }
    step();
  }
}

}  // namespace berth
