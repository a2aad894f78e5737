#pragma once

#include <chrono>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace berth::testing {

// Asks `holds` again and again until it does, for at most `limit`; whether it did. Only for tests
// of real processes, which nothing else reports about: a unit test moves its manual clock.
template <typename Predicate>
bool Eventually(absl::Duration limit, Predicate holds) {
  constexpr absl::Duration kAskEvery = absl::Milliseconds(20);
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(limit);
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    absl::SleepFor(kAskEvery);
  }
  return true;
}

}  // namespace berth::testing
