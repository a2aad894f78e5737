#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/executor/executor.h"
#include "common/net/unique_fd.h"

namespace berth::cli {

// An executor on the thread of the command that waits: its steps run while Run does, so what lives
// on it needs no lock. Post is safe from any thread; Run and Stop are the command's own.
class Foreground : public Executor {
 public:
  enum class Outcome { kStopped, kInterrupted, kTimedOut };

  Foreground();

  void Post(Step step) override;
  void PostAfter(absl::Duration delay, Step step) override;

  // Runs steps until one calls Stop, the person presses Ctrl-C, or `timeout` has passed. A second
  // Ctrl-C ends the process.
  Outcome Run(absl::Duration timeout);
  void Stop() { stopped_ = true; }

 private:
  // The next step that is due, or an empty one; then `wait` is the time until there may be one.
  Step NextStep(absl::Duration now, absl::Duration* wait);

  // Readable while steps were posted that Run has not seen.
  UniqueFd wake_;
  bool stopped_ = false;
  absl::Mutex mutex_;
  std::deque<Step> ready_ ABSL_GUARDED_BY(mutex_);
  // Keyed by due time, then by order of posting.
  std::map<std::pair<absl::Duration, uint64_t>, Step> timers_ ABSL_GUARDED_BY(mutex_);
  uint64_t timers_posted_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace berth::cli
