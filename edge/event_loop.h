#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/net/unique_fd.h"
#include "common/sync/mutex.h"
#include "edge/timer_heap.h"

namespace berth::edge {

// Tells, on one thread, which descriptors are ready, which timers are due, and what other threads
// want done. Only Post and Stop may be called from another thread than Run's; before Run begins,
// all of it belongs to the thread that will call it or hand it over.
class EventLoop {
 public:
  // Hears of its descriptors. It outlives the turn in which the last of them was closed: events of
  // that turn may still name it.
  class Handler {
   public:
    // `events` are EPOLL… bits; 0 where NextTurn asked for the call.
    virtual void OnReady(uint32_t events) = 0;

   protected:
    ~Handler() = default;
  };

  // `clock` outlives the loop. kResourceExhausted: no descriptors are left.
  static absl::StatusOr<std::unique_ptr<EventLoop>> Create(const Clock* clock);

  // Works until Stop. `at_turn_end` runs after every turn: the place to free what events of the
  // turn could have named.
  void Run(const std::function<void()>& at_turn_end);
  void Stop();

  // Runs `step` on the loop's thread. Steps posted before Stop but not run yet are dropped.
  void Post(std::function<void()> step);

  // Calls `handler` when `fd` is ready, until `fd` is closed. `events` are EPOLL… bits.
  // kResourceExhausted: the kernel's limit of watched descriptors is reached.
  absl::Status Watch(int fd, uint32_t events, Handler* handler);
  // Changes what is waited for on a descriptor that is watched already.
  void WatchFor(int fd, uint32_t events, Handler* handler);

  // Ends the watch of a descriptor that others have duplicates of, before it is closed.
  void Unwatch(int fd);

  // Calls handler->OnReady(0) in the next turn, which comes without waiting. For a handler that has
  // more to do but must let others have their turn. CancelNextTurn takes it back.
  void NextTurn(Handler* handler) { next_turn_.push_back(handler); }
  void CancelNextTurn(Handler* handler);

  // The clock's monotonic time when the turn began.
  absl::Duration now() const { return now_; }

  void SetTimer(Timer* timer, absl::Duration after) { timers_.Set(timer, now_ + after); }
  void CallOffTimer(Timer* timer) { timers_.CallOff(timer); }

 private:
  EventLoop(const Clock* clock, UniqueFd epoll, UniqueFd wake)
      : clock_(clock), epoll_(std::move(epoll)), wake_(std::move(wake)), now_(clock->Monotonic()) {}

  // For epoll_wait: until the next timer, for ever, or not at all.
  int WaitMilliseconds() const;
  void Wake();
  void RunPosted();

  static constexpr size_t kEventsPerTurnMax = 256;

  const Clock* const clock_;
  const UniqueFd epoll_;
  const UniqueFd wake_;  // An eventfd, readable when there is something in posted_ or stopping_.
  absl::Duration now_;
  TimerHeap timers_;
  std::vector<Handler*> next_turn_;

  Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace berth::edge
