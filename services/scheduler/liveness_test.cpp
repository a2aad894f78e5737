#include "services/scheduler/liveness.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>

namespace berth::scheduler {
namespace {

using Silent = std::map<std::string, v1::HostPresence>;

constexpr absl::Duration kTick = absl::Nanoseconds(1);
constexpr absl::Duration kStart = absl::Hours(5);

TEST_CASE("a silent host is stale and then lost", "[scheduler][liveness]") {
  Liveness liveness(LivenessPolicy{absl::Seconds(15), absl::Seconds(60)});
  liveness.Heard("alpha", kStart);
  CHECK(liveness.NextChange(kStart) == kStart + absl::Seconds(15));
  CHECK(liveness.SilentAt(kStart + absl::Seconds(15) - kTick).empty());
  CHECK(liveness.SilentAt(kStart + absl::Seconds(15)) ==
        Silent{{"alpha", v1::HOST_PRESENCE_STALE}});
  CHECK(liveness.NextChange(kStart + absl::Seconds(15)) == kStart + absl::Seconds(60));
  CHECK(liveness.SilentAt(kStart + absl::Seconds(60) - kTick) ==
        Silent{{"alpha", v1::HOST_PRESENCE_STALE}});
  CHECK(liveness.SilentAt(kStart + absl::Seconds(60)) == Silent{{"alpha", v1::HOST_PRESENCE_LOST}});
  CHECK(liveness.NextChange(kStart + absl::Seconds(60)) == absl::InfiniteDuration());
  SECTION("until it is heard again") {
    liveness.Heard("alpha", kStart + absl::Seconds(70));
    CHECK(liveness.SilentAt(kStart + absl::Seconds(70)).empty());
    CHECK(liveness.NextChange(kStart + absl::Seconds(70)) == kStart + absl::Seconds(85));
  }
}

TEST_CASE("each host has its own time, and the next change is the earliest",
          "[scheduler][liveness]") {
  Liveness liveness((LivenessPolicy()));
  liveness.Heard("alpha", kStart);
  liveness.Heard("beta", kStart + absl::Seconds(5));
  CHECK(liveness.NextChange(kStart + absl::Seconds(5)) == kStart + absl::Seconds(15));
  CHECK(liveness.SilentAt(kStart + absl::Seconds(17)) ==
        Silent{{"alpha", v1::HOST_PRESENCE_STALE}});
  CHECK(liveness.NextChange(kStart + absl::Seconds(17)) == kStart + absl::Seconds(20));
}

TEST_CASE("a new leader gives every host its full time", "[scheduler][liveness]") {
  Liveness liveness((LivenessPolicy()));
  liveness.Heard("alpha", kStart);
  liveness.Heard("gone", kStart);
  const absl::Duration restart = kStart + absl::Hours(2);
  liveness.Restart({"alpha", "beta"}, restart);
  CHECK(liveness.SilentAt(restart + LivenessPolicy().stale_after - kTick).empty());
  CHECK(liveness.SilentAt(restart + LivenessPolicy().lost_after) ==
        Silent{{"alpha", v1::HOST_PRESENCE_LOST}, {"beta", v1::HOST_PRESENCE_LOST}});
}

TEST_CASE("where there is no host nothing changes", "[scheduler][liveness]") {
  const Liveness liveness((LivenessPolicy()));
  CHECK(liveness.SilentAt(kStart).empty());
  CHECK(liveness.NextChange(kStart) == absl::InfiniteDuration());
}

}  // namespace
}  // namespace berth::scheduler
