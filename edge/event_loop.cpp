#include "edge/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "absl/status/status.h"
#include "common/check/check.h"

namespace berth::edge {

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(const Clock* clock) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return absl::ErrnoToStatus(errno, "cannot make an epoll descriptor");
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return absl::ErrnoToStatus(errno, "cannot make an eventfd");
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // No handler: the loop itself.
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return absl::ErrnoToStatus(errno, "cannot watch an eventfd");
  }
  return std::unique_ptr<EventLoop>(new EventLoop(clock, std::move(epoll), std::move(wake)));
}

void EventLoop::Run(const std::function<void()>& at_turn_end) {
  std::array<epoll_event, kEventsPerTurnMax> events;
  std::vector<Handler*> this_turn;
  while (true) {
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                 WaitMilliseconds());
    BERTH_CHECK(count >= 0 || errno == EINTR);
    now_ = clock_->Monotonic();
    this_turn.clear();
    this_turn.swap(next_turn_);
    bool woken = false;
    for (int i = 0; i < count; ++i) {
      auto* const handler = static_cast<Handler*>(events[i].data.ptr);
      if (handler == nullptr) {
        woken = true;
      } else {
        handler->OnReady(events[i].events);
      }
    }
    for (Handler* handler : this_turn) handler->OnReady(0);
    timers_.RunDue(now_);
    if (woken) {
      RunPosted();
      const MutexLock lock(&mutex_);
      if (stopping_) return;
    }
    at_turn_end();
  }
}

void EventLoop::Stop() {
  {
    const MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Wake();
}

void EventLoop::Post(std::function<void()> step) {
  {
    const MutexLock lock(&mutex_);
    posted_.push_back(std::move(step));
  }
  Wake();
}

absl::Status EventLoop::Watch(int fd, uint32_t events, Handler* handler) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = handler;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "cannot watch a descriptor");
}

void EventLoop::WatchFor(int fd, uint32_t events, Handler* handler) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = handler;
  // It cannot fail for want of anything: the descriptor has its place already.
  BERTH_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0);
}

void EventLoop::Unwatch(int fd) {
  // ENOENT: watching it had failed.
  BERTH_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr) == 0 || errno == ENOENT);
}

void EventLoop::CancelNextTurn(Handler* handler) {
  next_turn_.erase(std::remove(next_turn_.begin(), next_turn_.end(), handler), next_turn_.end());
}

int EventLoop::WaitMilliseconds() const {
  if (!next_turn_.empty()) return 0;
  const std::optional<absl::Duration> due = timers_.NextDue();
  if (!due.has_value()) return -1;
  // Rounded up: a wait that ends just before the timer is due would end in another, empty turn.
  const absl::Duration wait = absl::Ceil(*due - clock_->Monotonic(), absl::Milliseconds(1));
  return static_cast<int>(
      std::clamp<int64_t>(absl::ToInt64Milliseconds(wait), 0, std::numeric_limits<int>::max()));
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  // It fails only when the counter is full, and then the loop is awake already.
  if (write(wake_.get(), &one, sizeof(one)) < 0) return;
}

void EventLoop::RunPosted() {
  uint64_t count = 0;
  if (read(wake_.get(), &count, sizeof(count)) < 0) return;
  std::vector<std::function<void()>> posted;
  {
    const MutexLock lock(&mutex_);
    posted.swap(posted_);
  }
  for (const std::function<void()>& step : posted) step();
}

}  // namespace berth::edge
