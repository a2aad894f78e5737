#include "edge/hostname.h"

#include <catch2/catch.hpp>

namespace berth::edge {
namespace {

TEST_CASE("a host name is lower case and has no final dot", "[edge][hostname]") {
  CHECK(NormaliseHostname("Shop.Example.COM.") == "shop.example.com");
  CHECK(NormaliseHostname("_acme-challenge.x1.example") == "_acme-challenge.x1.example");
  CHECK(NormaliseHostname("localhost") == "localhost");
  CHECK(NormaliseHostname("4.example") == "4.example");
}

TEST_CASE("what is not a host name has no normal form", "[edge][hostname]") {
  for (const char* name :
       {"", ".", "..", "a..b", ".a", "a b", "a/b", "*.example.com", "192.0.2.1", "192.0.2.1.",
        "2001:db8::1", "[::1]", "example.42", "caf\xc3\xa9.example"}) {
    CAPTURE(name);
    CHECK(NormaliseHostname(name) == std::nullopt);
  }
  CHECK(NormaliseHostname(absl::string_view("a\0b", 3)) == std::nullopt);
}

TEST_CASE("labels have at most 63 and names at most 253 characters", "[edge][hostname]") {
  const std::string label(63, 'a');
  CHECK(NormaliseHostname(label + ".example").has_value());
  CHECK_FALSE(NormaliseHostname(label + "a.example").has_value());
  const std::string name = label + "." + label + "." + label + "." + std::string(61, 'b');
  REQUIRE(name.size() == 253);
  CHECK(NormaliseHostname(name).has_value());
  CHECK(NormaliseHostname(name + ".").has_value());
  CHECK_FALSE(NormaliseHostname(name + "b").has_value());
}

}  // namespace
}  // namespace berth::edge
