#include "edge/timer_heap.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <random>

namespace berth::edge {
namespace {

TEST_CASE("timers run in the order they are due, and not before", "[edge][timer-heap]") {
  TimerHeap heap;
  std::vector<int> ran;
  Timer late([&] { ran.push_back(3); });
  Timer soon([&] { ran.push_back(1); });
  Timer middle([&] { ran.push_back(2); });
  CHECK(heap.NextDue() == std::nullopt);
  heap.Set(&late, absl::Seconds(3));
  heap.Set(&soon, absl::Seconds(1));
  heap.Set(&middle, absl::Seconds(2));
  CHECK(heap.NextDue() == absl::Seconds(1));
  heap.RunDue(absl::Milliseconds(999));
  CHECK(ran.empty());
  heap.RunDue(absl::Seconds(2));
  CHECK(ran == std::vector<int>{1, 2});
  heap.RunDue(absl::Seconds(9));
  CHECK(ran == std::vector<int>{1, 2, 3});
  CHECK(heap.NextDue() == std::nullopt);
}

TEST_CASE("a timer that is set again moves, and one called off does not run",
          "[edge][timer-heap]") {
  TimerHeap heap;
  int moved_ran = 0;
  int called_off_ran = 0;
  Timer moved([&] { ++moved_ran; });
  Timer called_off([&] { ++called_off_ran; });
  heap.Set(&moved, absl::Seconds(1));
  heap.Set(&called_off, absl::Seconds(1));
  heap.Set(&moved, absl::Seconds(5));
  heap.CallOff(&called_off);
  heap.CallOff(&called_off);
  heap.RunDue(absl::Seconds(4));
  CHECK(moved_ran == 0);
  heap.RunDue(absl::Seconds(5));
  CHECK(moved_ran == 1);
  CHECK(called_off_ran == 0);
}

TEST_CASE("a timer may set itself anew and call off others while it runs", "[edge][timer-heap]") {
  TimerHeap heap;
  int runs = 0;
  Timer other([] { FAIL("was called off"); });
  Timer again([&] {
    heap.CallOff(&other);
    if (++runs < 3) heap.Set(&again, absl::Seconds(runs));
  });
  heap.Set(&again, absl::ZeroDuration());
  heap.Set(&other, absl::Seconds(1));
  heap.RunDue(absl::Seconds(1));
  CHECK(runs == 2);
  CHECK(heap.NextDue() == absl::Seconds(2));
  heap.RunDue(absl::Seconds(2));
  CHECK(runs == 3);
}

TEST_CASE("any mix of settings and cancellations leaves the heap in order", "[edge][timer-heap]") {
  constexpr size_t kTimers = 200;
  std::mt19937 random(1);
  TimerHeap heap;
  std::vector<std::unique_ptr<Timer>> timers;
  timers.reserve(kTimers);
  std::vector<int> due(kTimers, -1);  // Milliseconds; -1: not set.
  std::vector<int> ran;
  for (size_t i = 0; i < kTimers; ++i) {
    timers.push_back(std::make_unique<Timer>([&ran, &due, i] { ran.push_back(due[i]); }));
  }
  for (int step = 0; step < 5'000; ++step) {
    const size_t i = random() % kTimers;
    if (random() % 3 == 0) {
      heap.CallOff(timers[i].get());
      due[i] = -1;
    } else {
      due[i] = static_cast<int>(random() % 1'000);
      heap.Set(timers[i].get(), absl::Milliseconds(due[i]));
    }
  }
  heap.RunDue(absl::Seconds(1));
  std::vector<int> expected;
  std::copy_if(due.begin(), due.end(), std::back_inserter(expected),
               [](int ms) { return ms >= 0; });
  std::sort(expected.begin(), expected.end());
  CHECK(ran == expected);
}

}  // namespace
}  // namespace berth::edge
