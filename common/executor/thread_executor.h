#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "common/executor/executor.h"
#include "common/sync/mutex.h"

namespace berth {

// An executor with one thread of its own, which sleeps while there is nothing to do. The destructor
// finishes the step that is running, drops the others and joins the thread; it must not be run from
// a step.
class ThreadExecutor : public Executor {
 public:
  // `name` is what `ps -L` shows, cut to 15 characters.
  explicit ThreadExecutor(std::string name);
  ~ThreadExecutor() override;

  void Post(Step step) override;
  void PostAfter(absl::Duration delay, Step step) override;

  // Ends the thread as the destructor does; steps posted afterwards are dropped. Idempotent.
  void Stop();

 private:
  void Run();
  // Infinite: no timer is set.
  absl::Duration FirstDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string name_;
  Mutex mutex_;
  std::deque<Step> ready_ ABSL_GUARDED_BY(mutex_);
  // Keyed by due time, then by order of posting.
  std::map<std::pair<absl::Duration, uint64_t>, Step> timers_ ABSL_GUARDED_BY(mutex_);
  uint64_t timers_posted_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace berth
