#pragma once

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace berth {

// std::mutex with the annotations that clang checks locking by, and with waiting for a condition:
// whoever unlocks wakes those who wait, and they look again. Not recursive.
class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }

  void Unlock() ABSL_UNLOCK_FUNCTION() {
    // Before it is unlocked: whoever waits may destroy this object as soon as it has the lock.
    if (waiting_ > 0) unlocked_.notify_all();
    mutex_.unlock();
  }

  // Waits, unlocked meanwhile, until `condition` holds; it is called with the mutex held.
  template <typename Condition>
  void Await(Condition condition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) {
    AwaitWithTimeout(condition, absl::InfiniteDuration());
  }

  // The same for at most `timeout`; whether the condition holds now.
  template <typename Condition>
  bool AwaitWithTimeout(Condition condition, absl::Duration timeout)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) {
    std::unique_lock<std::mutex> held(mutex_, std::adopt_lock);
    ++waiting_;
    bool holds = true;
    if (timeout == absl::InfiniteDuration()) {
      unlocked_.wait(held, condition);
    } else {
      holds = unlocked_.wait_for(held, absl::ToChronoNanoseconds(timeout), condition);
    }
    --waiting_;
    held.release();
    return holds;
  }

 private:
  std::mutex mutex_;
  std::condition_variable unlocked_;
  int waiting_ = 0;  // Guarded by mutex_.
};

// Holds a mutex from here to the end of the block.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

}  // namespace berth
