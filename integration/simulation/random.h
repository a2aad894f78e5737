#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace berth::simulation {

// All chance of a simulation, from one seed: splitmix64. The standard library's distributions
// differ between its implementations; these numbers are the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next();

  // From 0 to `end` - 1; `end` is at least 1.
  uint64_t Below(uint64_t end) { return Next() % end; }

  // True `per_mille` times in a thousand.
  bool Chance(uint64_t per_mille) { return Below(1000) < per_mille; }

  // From `least` to `most`, in whole microseconds.
  absl::Duration Between(absl::Duration least, absl::Duration most);

  // A generator of its own, so that what one part draws does not change what another one gets.
  Random Fork() { return Random(Next()); }

 private:
  uint64_t state_;
};

}  // namespace berth::simulation
