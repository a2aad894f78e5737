#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace berth::edge {

class TimerHeap;

// Something to do once, at a time that may be moved or called off. Stands in one place in memory,
// is used from its loop's thread only, and must be called off before it is destroyed.
class Timer {
 public:
  explicit Timer(std::function<void()> on_due) : on_due_(std::move(on_due)) {}
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool IsSet() const { return place_ != kNowhere; }

 private:
  friend class TimerHeap;

  static constexpr size_t kNowhere = static_cast<size_t>(-1);

  const std::function<void()> on_due_;
  absl::Duration due_;
  size_t place_ = kNowhere;  // Index in the heap.
};

// The timers of one loop, the next one first. Setting and calling off cost O(log n) and allocate
// nothing per timer, for every connection does both several times.
class TimerHeap {
 public:
  // `due` is of the loop's monotonic clock. A timer that is set already moves.
  void Set(Timer* timer, absl::Duration due);
  // Nothing happens if it is not set.
  void CallOff(Timer* timer);

  // When the next timer is due, if there is one.
  std::optional<absl::Duration> NextDue() const;

  // Runs every timer due at `now` or before, each called off first, so that it may set itself anew.
  void RunDue(absl::Duration now);

 private:
  void Place(Timer* timer, size_t place);
  void MoveUp(Timer* timer, size_t place);
  void MoveDown(Timer* timer, size_t place);

  std::vector<Timer*> heap_;
};

}  // namespace berth::edge
