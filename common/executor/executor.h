#pragma once

#include <functional>

#include "absl/time/time.h"

namespace berth {

// Runs steps one after another, never two at once: whatever lives on one executor needs no lock.
// Everything with logic gets an Executor instead of a thread, so that a simulator can drive it.
class Executor {
 public:
  using Step = std::function<void()>;

  virtual ~Executor() = default;

  // Runs `step` after the steps posted before it. Callable from any thread, also from a step.
  virtual void Post(Step step) = 0;

  // Runs `step` once `delay` has passed. There is no cancelling: a step that may have become
  // meaningless checks so itself (an attempt number, a deadline that moved).
  virtual void PostAfter(absl::Duration delay, Step step) = 0;
};

}  // namespace berth
