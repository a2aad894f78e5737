#include "cli/foreground.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <vector>

#include "common/executor/thread_executor.h"

namespace berth::cli {
namespace {

constexpr absl::Duration kLong = absl::Seconds(30);

TEST_CASE("steps run in order until one stops them", "[cli][foreground]") {
  Foreground foreground;
  std::vector<int> order;
  foreground.Post([&] { order.push_back(1); });
  foreground.PostAfter(absl::Milliseconds(2), [&] {
    order.push_back(4);
    foreground.Stop();
  });
  foreground.PostAfter(absl::Milliseconds(1), [&] { order.push_back(3); });
  foreground.Post([&] { order.push_back(2); });
  CHECK(foreground.Run(kLong) == Foreground::Outcome::kStopped);
  CHECK(order == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("a step from another thread wakes the one that waits", "[cli][foreground]") {
  Foreground foreground;
  ThreadExecutor other("other");
  foreground.Post([&] { other.Post([&] { foreground.Post([&] { foreground.Stop(); }); }); });
  CHECK(foreground.Run(kLong) == Foreground::Outcome::kStopped);
}

TEST_CASE("waiting ends when its time is over", "[cli][foreground]") {
  Foreground foreground;
  CHECK(foreground.Run(absl::Milliseconds(1)) == Foreground::Outcome::kTimedOut);
  // Steps that never end do not keep it from ending.
  std::function<void()> again = [&] { foreground.Post(again); };
  foreground.Post(again);
  CHECK(foreground.Run(absl::Milliseconds(1)) == Foreground::Outcome::kTimedOut);
}

TEST_CASE("the first Ctrl-C ends the waiting, and the signal's old meaning is back afterwards",
          "[cli][foreground]") {
  struct sigaction before = {};
  REQUIRE(sigaction(SIGINT, nullptr, &before) == 0);
  Foreground foreground;
  foreground.Post([] { raise(SIGINT); });
  CHECK(foreground.Run(kLong) == Foreground::Outcome::kInterrupted);
  struct sigaction after = {};
  REQUIRE(sigaction(SIGINT, nullptr, &after) == 0);
  CHECK(after.sa_handler == before.sa_handler);
}

}  // namespace
}  // namespace berth::cli
