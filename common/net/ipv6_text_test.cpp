#include "common/net/ipv6_text.h"

#include <catch2/catch.hpp>

namespace berth {
namespace {

TEST_CASE("an address is written as people write it", "[net]") {
  CHECK(Ipv6Text(absl::string_view("\xfd\0\0\x01\0\0\0\0\0\0\0\0\0\0\x01\0", 16)) == "fd00:1::100");
  CHECK(Ipv6Text("") == "");
  CHECK(Ipv6Text(absl::string_view("\xfd\0\0\x01", 4)) == "");
}

TEST_CASE("a network is as long as its bytes", "[net]") {
  const absl::string_view prefix("\xfd\0\0\x01\0\0\0\x02", 8);
  CHECK(Ipv6NetworkText(prefix) == "fd00:1:0:2::/64");
  CHECK(Ipv6NetworkText(prefix.substr(0, 6)) == "fd00:1::/48");
  CHECK(Ipv6NetworkText("") == "");
  CHECK(Ipv6NetworkText(std::string(17, '\xfd')) == "");
}

}  // namespace
}  // namespace berth
