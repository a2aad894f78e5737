#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "common/executor/manual_executor.h"
#include "common/executor/thread_executor.h"
#include "common/sync/notification.h"

namespace berth {
namespace {

TEST_CASE("a manual executor runs timers at their own time", "[executor]") {
  ManualClock clock;
  ManualExecutor executor(&clock);
  const absl::Time start = clock.Now();
  std::vector<absl::Duration> ran;
  auto note = [&] { ran.push_back(clock.Now() - start); };
  executor.PostAfter(absl::Seconds(2), note);
  executor.PostAfter(absl::Seconds(1), [&] {
    note();
    executor.PostAfter(absl::Milliseconds(500), note);
  });
  executor.Advance(absl::Seconds(3));
  CHECK(ran ==
        std::vector<absl::Duration>{absl::Seconds(1), absl::Milliseconds(1500), absl::Seconds(2)});
  CHECK(clock.Now() - start == absl::Seconds(3));
}

TEST_CASE("a thread executor never runs two steps at once", "[executor]") {
  std::atomic<int> inside = 0;
  std::atomic<int> overlaps = 0;
  int ran = 0;  // Written by steps only: a race here is what the sanitizer would report.
  Notification done;
  ThreadExecutor executor("storm");
  constexpr int kThreads = 4;
  constexpr int kSteps = 500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kSteps; ++i) {
        executor.Post([&] {
          if (inside.fetch_add(1) != 0) overlaps.fetch_add(1);
          if (++ran == kThreads * kSteps) done.Notify();
          inside.fetch_sub(1);
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  CHECK(overlaps == 0);
}

TEST_CASE("a thread executor runs a timer after an earlier one that was posted later",
          "[executor]") {
  Notification done;
  std::vector<int> order;
  ThreadExecutor executor("timers");
  executor.PostAfter(absl::Milliseconds(30), [&] {
    order.push_back(2);
    done.Notify();
  });
  executor.PostAfter(absl::Milliseconds(1), [&] { order.push_back(1); });
  REQUIRE(done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  CHECK(order == std::vector<int>{1, 2});
}

}  // namespace
}  // namespace berth
