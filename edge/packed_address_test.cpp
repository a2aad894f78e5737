#include "edge/packed_address.h"

#include <catch2/catch.hpp>

namespace berth::edge {
namespace {

PackedAddress Packed(const char* text) { return PackedAddress::From(*SocketAddress::Parse(text)); }

TEST_CASE("an address survives packing", "[edge][packed-address]") {
  for (const char* text : {"192.0.2.1:443", "[2001:db8::1]:65535", "[::1]:1", "0.0.0.0:0"}) {
    CHECK(Packed(text).ToString() == text);
  }
}

TEST_CASE("IPv4 and its form within IPv6 are one address", "[edge][packed-address]") {
  CHECK(Packed("192.0.2.1:443") == Packed("[::ffff:192.0.2.1]:443"));
  CHECK(Packed("192.0.2.1:443").IsIpv4());
  CHECK_FALSE(Packed("[2001:db8::1]:443").IsIpv4());
  CHECK_FALSE(Packed("192.0.2.1:443") == Packed("192.0.2.1:444"));
}

TEST_CASE("the kernel gets the family of the address", "[edge][packed-address]") {
  sockaddr_storage storage;
  CHECK(Packed("[::ffff:192.0.2.1]:443").ToSockaddr(&storage) == sizeof(sockaddr_in));
  CHECK(storage.ss_family == AF_INET);
  CHECK(Packed("[2001:db8::1]:443").ToSockaddr(&storage) == sizeof(sockaddr_in6));
  CHECK(storage.ss_family == AF_INET6);
}

}  // namespace
}  // namespace berth::edge
