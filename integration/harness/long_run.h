#pragma once

#include <cstdlib>

namespace berth::integration {

// How often or for how long a test does a thing: `usual`, or `in_long_run` where BERTH_LONG is set.
template <typename Amount>
Amount UsualOr(Amount usual, Amount in_long_run) {
  return std::getenv("BERTH_LONG") == nullptr ? usual : in_long_run;
}

}  // namespace berth::integration
