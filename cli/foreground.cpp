#include "cli/foreground.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/check/check.h"
#include "common/clock/system_clock.h"

namespace berth::cli {
namespace {

// The longest that poll(2) is asked to wait at once.
constexpr absl::Duration kPollMax = absl::Minutes(1);

// Written by the signal handler, which may do no more than that.
int g_interrupt_fd = -1;

void Wake(int fd) {
  const uint64_t one = 1;
  // Full means that it is readable already.
  if (write(fd, &one, sizeof(one)) < 0) return;
}

void Clear(int fd) {
  uint64_t count = 0;
  // Empty is as good.
  if (read(fd, &count, sizeof(count)) < 0) return;
}

// Turns the first Ctrl-C into a readable descriptor for as long as it lives.
class Interrupt {
 public:
  Interrupt() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    g_interrupt_fd = fd_.get();
    struct sigaction action = {};
    action.sa_handler = [](int) { Wake(g_interrupt_fd); };
    action.sa_flags = SA_RESETHAND | SA_RESTART;
    sigaction(SIGINT, &action, &before_);
  }
  ~Interrupt() {
    sigaction(SIGINT, &before_, nullptr);
    g_interrupt_fd = -1;
  }
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  int fd() const { return fd_.get(); }

 private:
  const UniqueFd fd_;
  struct sigaction before_ = {};
};

}  // namespace

Foreground::Foreground() : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  BERTH_CHECK(wake_.valid());
}

void Foreground::Post(Step step) {
  {
    absl::MutexLock lock(&mutex_);
    ready_.push_back(std::move(step));
  }
  Wake(wake_.get());
}

void Foreground::PostAfter(absl::Duration delay, Step step) {
  {
    absl::MutexLock lock(&mutex_);
    timers_.emplace(std::pair(SystemClock().Monotonic() + delay, timers_posted_++),
                    std::move(step));
  }
  Wake(wake_.get());
}

Executor::Step Foreground::NextStep(absl::Duration now, absl::Duration* wait) {
  absl::MutexLock lock(&mutex_);
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    ready_.push_back(std::move(timers_.extract(timers_.begin()).mapped()));
  }
  *wait = timers_.empty() ? kPollMax : timers_.begin()->first.first - now;
  if (ready_.empty()) return nullptr;
  Step step = std::move(ready_.front());
  ready_.pop_front();
  return step;
}

Foreground::Outcome Foreground::Run(absl::Duration timeout) {
  const Interrupt interrupt;
  const SystemClock clock;
  const absl::Duration deadline = clock.Monotonic() + timeout;
  stopped_ = false;
  while (true) {
    const absl::Duration now = clock.Monotonic();
    absl::Duration wait;
    if (const Step step = NextStep(now, &wait); step != nullptr) {
      step();
      if (stopped_) return Outcome::kStopped;
      wait = absl::ZeroDuration();
    }
    if (now >= deadline) return Outcome::kTimedOut;
    wait = std::min({wait, deadline - now, kPollMax});
    std::array<pollfd, 2> fds = {pollfd{wake_.get(), POLLIN, 0}, pollfd{interrupt.fd(), POLLIN, 0}};
    const int64_t milliseconds = absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1)));
    if (poll(fds.data(), fds.size(), static_cast<int>(milliseconds)) <= 0) continue;
    if (fds[1].revents != 0) return Outcome::kInterrupted;
    Clear(wake_.get());
  }
}

}  // namespace berth::cli
