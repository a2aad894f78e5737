#pragma once

#include "absl/time/time.h"
#include "common/sync/mutex.h"

namespace berth {

// Something that happens once, which threads may wait for. Safe from any thread.
class Notification {
 public:
  // At most once.
  void Notify() {
    MutexLock lock(&mutex_);
    notified_ = true;
  }

  bool HasBeenNotified() const {
    MutexLock lock(&mutex_);
    return notified_;
  }

  void WaitForNotification() { WaitForNotificationWithTimeout(absl::InfiniteDuration()); }

  // Whether it happened within `timeout`.
  bool WaitForNotificationWithTimeout(absl::Duration timeout) {
    MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return notified_; },
                                   timeout);
  }

 private:
  mutable Mutex mutex_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace berth
