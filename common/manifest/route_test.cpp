#include "common/manifest/route.h"

#include <catch2/catch.hpp>

#include "common/testing/printers.h"

namespace berth {
namespace {

using config::v1::Route;

Route Tls(uint32_t port, const std::string& hostname) {
  Route route;
  route.mutable_tls()->set_port(port);
  route.mutable_tls()->set_hostname(hostname);
  return route;
}

Route Tcp(uint32_t port) {
  Route route;
  route.mutable_tcp()->set_port(port);
  return route;
}

TEST_CASE("a listener is read as it is written", "[manifest][route]") {
  for (const char* text : {"tls/443", "tcp/1", "tcp/65535"}) {
    CHECK(ListenerText(ParseListener(text).value()) == text);
  }
  for (const char* text :
       {"", "tls", "tls/", "443", "udp/53", "tcp/0", "tcp/65536", "tcp/+1", "tcp/01", "tcp/1/2"}) {
    CHECK_FALSE(ParseListener(text).has_value());
  }
}

TEST_CASE("a target is a process and one of its ports", "[manifest][route]") {
  CHECK(ToString(ParseRouteTarget("web.http").value()) == "web.http");
  for (const char* text : {"", "web", "web.", ".http"}) {
    CHECK_FALSE(ParseRouteTarget(text).has_value());
  }
}

TEST_CASE("hostnames share a port, and nothing shares one with what takes it whole",
          "[manifest][route]") {
  CHECK_FALSE(ListenAlike(Tls(443, "a.test"), Tls(443, "b.test")));
  CHECK(ListenAlike(Tls(443, "a.test"), Tls(443, "a.test")));
  CHECK_FALSE(ListenAlike(Tls(443, "a.test"), Tls(444, "a.test")));
  CHECK(ListenAlike(Tls(443, "a.test"), Tcp(443)));
  CHECK(ListenAlike(Tcp(443), Tcp(443)));
  CHECK_FALSE(ListenAlike(Tcp(443), Tcp(444)));
}

TEST_CASE("a route that a manifest could not ask for is refused", "[manifest][route]") {
  Route route = Tls(443, "a.test");
  *route.mutable_to() = ParseRouteTarget("web.http").value();
  route.set_proxy_protocol(config::v1::PROXY_PROTOCOL_NONE);
  REQUIRE(CheckRoute(route) == absl::OkStatus());
  SECTION("without a listener") { route.clear_listen(); }
  SECTION("on no port") { route.mutable_tls()->set_port(65536); }
  SECTION("for no host name") { route.mutable_tls()->clear_hostname(); }
  SECTION("for a host name in another form") { route.mutable_tls()->set_hostname("A.test."); }
  SECTION("to nowhere") { route.mutable_to()->clear_port(); }
  SECTION("that says nothing of PROXY headers") { route.clear_proxy_protocol(); }
  CHECK(absl::IsInvalidArgument(CheckRoute(route)));
}

}  // namespace
}  // namespace berth
