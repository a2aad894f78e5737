#include "edge/route_table.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"

namespace berth::edge {
namespace {

Route::Upstream UpstreamAt(const std::string& id, const std::string& address,
                           bool draining = false) {
  return {id, *SocketAddress::Parse(address), draining};
}

Route TlsRoute(const std::string& id, const std::string& hostname, uint16_t port = 443) {
  Route route;
  route.id = id;
  route.port = port;
  route.hostname = hostname;
  route.upstreams = {UpstreamAt("i-" + id, "192.0.2.1:8443")};
  return route;
}

Route TcpRoute(const std::string& id, uint16_t port) {
  Route route = TlsRoute(id, "", port);
  route.hostname.reset();
  return route;
}

// The id of the route, or "none".
std::string IdOf(const std::optional<RouteTable::Match>& match) {
  return match.has_value() ? std::string(match->id) : "none";
}

TEST_CASE("the exact host name wins over a wildcard, and a wildcard covers one label",
          "[edge][route-table]") {
  UpstreamRegistry registry;
  const auto table =
      RouteTable::Build({TlsRoute("exact", "a.example.com"), TlsRoute("wild", "*.example.com"),
                         TlsRoute("deep", "*.b.example.com"), TlsRoute("other", "example.org")},
                        &registry)
          .value();
  CHECK(IdOf(table->FindHostname(443, "a.example.com")) == "exact");
  CHECK(IdOf(table->FindHostname(443, "c.example.com")) == "wild");
  CHECK(IdOf(table->FindHostname(443, "x.b.example.com")) == "deep");
  CHECK(IdOf(table->FindHostname(443, "x.c.example.com")) == "none");
  CHECK(IdOf(table->FindHostname(443, "example.com")) == "none");
  CHECK(IdOf(table->FindHostname(443, "example.org")) == "other");
  CHECK(IdOf(table->FindHostname(443, "localhost")) == "none");
}

TEST_CASE("a port without host names takes everything, one with them may have a default",
          "[edge][route-table]") {
  UpstreamRegistry registry;
  const auto table =
      RouteTable::Build({TcpRoute("tcp", 5432), TlsRoute("tls", "a.example"),
                         TlsRoute("mixed", "a.example", 8443), TcpRoute("fallback", 8443)},
                        &registry)
          .value();
  CHECK(std::vector<uint16_t>(table->ports().begin(), table->ports().end()) ==
        std::vector<uint16_t>{443, 5432, 8443});
  CHECK_FALSE(table->HasHostnames(5432));
  CHECK(table->HasHostnames(443));
  CHECK(table->HasHostnames(8443));
  CHECK_FALSE(table->HasHostnames(80));
  CHECK(IdOf(table->FindDefault(5432)) == "tcp");
  CHECK(IdOf(table->FindDefault(443)) == "none");
  CHECK(IdOf(table->FindDefault(8443)) == "fallback");
  CHECK(IdOf(table->FindHostname(8443, "a.example")) == "mixed");
  CHECK(IdOf(table->FindHostname(5432, "a.example")) == "none");
  CHECK(IdOf(table->FindHostname(8443, "")) == "none");
}

TEST_CASE("a match carries what the route says, without upstreams that drain",
          "[edge][route-table]") {
  UpstreamRegistry registry;
  Route route = TlsRoute("r", "a.example");
  route.proxy_protocol = ProxyProtocol::kV2;
  route.policy = BalancePolicy::kRoundRobin;
  route.upstreams = {UpstreamAt("i-1", "192.0.2.1:8443"), UpstreamAt("i-2", "192.0.2.2:8443", true),
                     UpstreamAt("i-3", "[2001:db8::3]:8443")};
  const auto table = RouteTable::Build({route}, &registry).value();
  const RouteTable::Match match = table->FindHostname(443, "a.example").value();
  CHECK(match.proxy_protocol == ProxyProtocol::kV2);
  CHECK(match.policy == BalancePolicy::kRoundRobin);
  REQUIRE(match.upstreams.size() == 2);
  CHECK(match.upstreams[0]->id() == "i-1");
  CHECK(match.upstreams[1]->address().ToString() == "[2001:db8::3]:8443");
}

TEST_CASE("an upstream is the same object in every route and table that names it",
          "[edge][route-table]") {
  UpstreamRegistry registry;
  auto first = RouteTable::Build({TlsRoute("r", "a.example")}, &registry).value();
  Upstream* const upstream = first->FindHostname(443, "a.example")->upstreams[0];
  const auto second =
      RouteTable::Build({TlsRoute("r", "b.example"), TlsRoute("s", "c.example")}, &registry)
          .value();
  first.reset();
  CHECK(second->FindHostname(443, "b.example")->upstreams[0] == upstream);
  CHECK(registry.size() == 2);
}

TEST_CASE("a table that cannot be right is refused with the route's name", "[edge][route-table]") {
  UpstreamRegistry registry;
  auto refusal = [&registry](const std::vector<Route>& routes) {
    const auto table = RouteTable::Build(routes, &registry);
    CHECK(table.status().code() == absl::StatusCode::kInvalidArgument);
    return std::string(table.status().message());
  };
  CHECK(refusal({TlsRoute("one", "a.example"), TlsRoute("two", "a.example")}) ==
        "routes \"one\" and \"two\" both take port 443, host name \"a.example\"");
  CHECK(refusal({TcpRoute("one", 5432), TcpRoute("two", 5432)}) ==
        "routes \"one\" and \"two\" both take port 5432, host name \"\"");
  CHECK(refusal({TlsRoute("r", "A.example")}) ==
        "route \"r\": \"A.example\" is not a host name in lower case");
  CHECK(refusal({TlsRoute("r", "a.*.example")}) ==
        "route \"r\": \"a.*.example\" is not a host name in lower case");
  CHECK(refusal({TlsRoute("r", "")}) == "route \"r\": \"\" is not a host name in lower case");
  CHECK(refusal({TcpRoute("r", 0)}) == "route \"r\": port 0 is not a port");
  CHECK(refusal({TcpRoute("", 80)}) == "route \"\": an id has 1 to 255 bytes");
  CHECK(registry.size() == 0);
}

TEST_CASE("an empty table has no ports", "[edge][route-table]") {
  UpstreamRegistry registry;
  const auto table = RouteTable::Build({}, &registry).value();
  CHECK(table->ports().empty());
  CHECK(IdOf(table->FindDefault(443)) == "none");
}

TEST_CASE("a table finds every one of its routes and takes at most 200 bytes for each",
          "[edge][route-table]") {
  constexpr size_t kRoutes = 10'000;
  UpstreamRegistry registry;
  std::vector<Route> routes;
  for (size_t i = 0; i < kRoutes; ++i) {
    routes.push_back(TlsRoute(absl::StrCat("acme/shop/production/", i),
                              absl::StrCat("s", i, ".shop.example.com")));
    routes.back().upstreams = {UpstreamAt(absl::StrCat("i-", i), "192.0.2.1:8443"),
                               UpstreamAt(absl::StrCat("j-", i), "192.0.2.2:8443")};
  }
  const auto table = RouteTable::Build(routes, &registry).value();
  for (const Route& route : routes) {
    REQUIRE(IdOf(table->FindHostname(443, *route.hostname)) == route.id);
  }
  CHECK(table->MemoryBytes() <= 200 * kRoutes);
}

}  // namespace
}  // namespace berth::edge
