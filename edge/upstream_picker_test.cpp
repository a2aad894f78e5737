#include "edge/upstream_picker.h"

#include <catch2/catch.hpp>
#include <map>

namespace berth::edge {
namespace {

constexpr absl::Duration kNow = absl::Hours(1);

// Three upstreams in a registry, as a table would hold them.
struct ThreeUpstreams {
  Upstream* Hold(const std::string& id) {
    return registry.HoldForTable(id, PackedAddress::From(*SocketAddress::Parse("192.0.2.1:80")));
  }
  Upstream* Pick(BalancePolicy policy, absl::Duration now = kNow) {
    return PickUpstream(all, policy, now, tried);
  }
  void Eject(Upstream* upstream) {
    for (uint32_t i = 0; i < kConnectFailuresMax; ++i) upstream->ConnectFailed(kNow);
  }

  UpstreamRegistry registry;
  Upstream* a = Hold("a");
  Upstream* b = Hold("b");
  Upstream* c = Hold("c");
  std::vector<Upstream*> all = {a, b, c};
  std::vector<Upstream*> tried;
};

TEST_CASE("least connections picks the upstream with the fewest", "[edge][upstream-picker]") {
  ThreeUpstreams upstreams;
  upstreams.registry.BeginConnection(upstreams.a);
  upstreams.registry.BeginConnection(upstreams.c);
  CHECK(upstreams.Pick(BalancePolicy::kLeastConnections) == upstreams.b);
  upstreams.registry.BeginConnection(upstreams.b);
  upstreams.registry.BeginConnection(upstreams.b);
  upstreams.registry.EndConnection(upstreams.c);
  CHECK(upstreams.Pick(BalancePolicy::kLeastConnections) == upstreams.c);
}

TEST_CASE("among equals the turn goes round", "[edge][upstream-picker]") {
  const BalancePolicy policy =
      GENERATE(BalancePolicy::kLeastConnections, BalancePolicy::kRoundRobin);
  ThreeUpstreams upstreams;
  std::map<Upstream*, int> picked;
  for (int i = 0; i < 30; ++i) {
    Upstream* const upstream = upstreams.Pick(policy);
    ++picked[upstream];
    upstreams.registry.BeginConnection(upstream);
    upstreams.registry.EndConnection(upstream);
  }
  CHECK(picked ==
        std::map<Upstream*, int>{{upstreams.a, 10}, {upstreams.b, 10}, {upstreams.c, 10}});
}

TEST_CASE("round robin does not look at connections", "[edge][upstream-picker]") {
  ThreeUpstreams upstreams;
  for (Upstream* upstream : {upstreams.a, upstreams.b, upstreams.c}) {
    upstreams.registry.BeginConnection(upstream);
  }
  upstreams.registry.EndConnection(upstreams.b);
  CHECK(upstreams.Pick(BalancePolicy::kRoundRobin) == upstreams.a);
}

TEST_CASE("an upstream is ejected after failures in a row, for a bounded time",
          "[edge][upstream-picker]") {
  ThreeUpstreams upstreams;
  upstreams.a->ConnectFailed(kNow);
  upstreams.a->ConnectFailed(kNow);
  CHECK_FALSE(upstreams.a->IsEjected(kNow));
  CHECK_FALSE(upstreams.a->IsReached());
  upstreams.a->ConnectFailed(kNow);
  CHECK(upstreams.a->IsEjected(kNow));
  CHECK(upstreams.Pick(BalancePolicy::kRoundRobin) == upstreams.b);
  CHECK(upstreams.Pick(BalancePolicy::kRoundRobin, kNow + kEjectionTime) == upstreams.a);

  SECTION("one more failure ejects it again") {
    upstreams.a->ConnectFailed(kNow + kEjectionTime);
    CHECK(upstreams.a->IsEjected(kNow + kEjectionTime));
  }
  SECTION("a success makes it as good as new") {
    upstreams.a->ConnectSucceeded();
    CHECK_FALSE(upstreams.a->IsEjected(kNow));
    CHECK(upstreams.a->IsReached());
  }
}

TEST_CASE("ejected upstreams are picked where there is no other", "[edge][upstream-picker]") {
  ThreeUpstreams upstreams;
  upstreams.Eject(upstreams.a);
  upstreams.Eject(upstreams.b);
  upstreams.tried = {upstreams.c};
  CHECK(upstreams.Pick(BalancePolicy::kLeastConnections) == upstreams.a);
}

TEST_CASE("nothing is picked where everything was tried or there is nothing",
          "[edge][upstream-picker]") {
  ThreeUpstreams upstreams;
  upstreams.tried = upstreams.all;
  CHECK(upstreams.Pick(BalancePolicy::kLeastConnections) == nullptr);
  CHECK(PickUpstream({}, BalancePolicy::kRoundRobin, kNow, {}) == nullptr);
}

}  // namespace
}  // namespace berth::edge
