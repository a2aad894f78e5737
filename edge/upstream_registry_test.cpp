#include "edge/upstream_registry.h"

#include <catch2/catch.hpp>

namespace berth::edge {
namespace {

using Counts = std::vector<std::pair<std::string, size_t>>;

PackedAddress Packed(const char* text) { return PackedAddress::From(*SocketAddress::Parse(text)); }

TEST_CASE("connections are reported by id, over all addresses", "[edge][upstream-registry]") {
  UpstreamRegistry registry;
  Upstream* const http = registry.HoldForTable("i-1", Packed("192.0.2.1:80"));
  Upstream* const tls = registry.HoldForTable("i-1", Packed("192.0.2.1:443"));
  Upstream* const other = registry.HoldForTable("i-0", Packed("192.0.2.2:80"));
  CHECK(http != tls);
  CHECK(registry.ConnectionsPerUpstream().empty());
  for (Upstream* upstream : {http, tls, tls, other}) registry.BeginConnection(upstream);
  CHECK(registry.ConnectionsPerUpstream() == Counts{{"i-0", 1}, {"i-1", 3}});
  for (Upstream* upstream : {http, tls, tls, other}) registry.EndConnection(upstream);
  CHECK(registry.ConnectionsPerUpstream().empty());
}

TEST_CASE("an upstream without a table lives as long as its connections",
          "[edge][upstream-registry]") {
  UpstreamRegistry registry;
  Upstream* const upstream = registry.HoldForTable("i-1", Packed("192.0.2.1:80"));
  registry.BeginConnection(upstream);
  registry.ReleaseFromTable({upstream});
  CHECK(registry.ConnectionsPerUpstream() == Counts{{"i-1", 1}});
  CHECK(registry.HoldForTable("i-1", Packed("192.0.2.1:80")) == upstream);
  registry.ReleaseFromTable({upstream});
  registry.EndConnection(upstream);
  registry.ReleaseFromTable({});
  CHECK(registry.size() == 0);
}

TEST_CASE("an upstream that cannot be connected to is reported while a table holds it",
          "[edge][upstream-registry]") {
  UpstreamRegistry registry;
  Upstream* const upstream = registry.HoldForTable("i-1", Packed("192.0.2.1:80"));
  registry.BeginConnection(upstream);
  CHECK(registry.UpstreamsNotReached().empty());
  upstream->ConnectFailed(absl::Hours(1));
  CHECK(registry.UpstreamsNotReached() == std::vector<std::string>{"i-1"});
  registry.ReleaseFromTable({upstream});
  CHECK(registry.UpstreamsNotReached().empty());
  registry.EndConnection(upstream);
}

}  // namespace
}  // namespace berth::edge
