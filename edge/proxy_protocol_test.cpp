#include "edge/proxy_protocol.h"

#include <catch2/catch.hpp>

#include "absl/strings/escaping.h"

namespace berth::edge {
namespace {

PackedAddress Packed(const char* text) { return PackedAddress::From(*SocketAddress::Parse(text)); }

std::string Hex(const std::string& bytes) { return absl::BytesToHexString(bytes); }

const std::string kSignatureHex = "0d0a0d0a000d0a515549540a";

TEST_CASE("an IPv4 connection is announced as TCP over IPv4", "[edge][proxy-protocol]") {
  CHECK(Hex(ProxyHeader({Packed("192.0.2.7:50000"), Packed("198.51.100.1:443"), "", ""})) ==
        kSignatureHex + "2111000c" + "c0000207" + "c6336401" + "c350" + "01bb");
}

TEST_CASE("an IPv4 client of a dual-stack listener is announced as IPv4",
          "[edge][proxy-protocol]") {
  CHECK(ProxyHeader(
            {Packed("[::ffff:192.0.2.7]:50000"), Packed("[::ffff:198.51.100.1]:443"), "", ""}) ==
        ProxyHeader({Packed("192.0.2.7:50000"), Packed("198.51.100.1:443"), "", ""}));
}

TEST_CASE("an IPv6 connection is announced as TCP over IPv6", "[edge][proxy-protocol]") {
  CHECK(Hex(ProxyHeader({Packed("[2001:db8::7]:50000"), Packed("[2001:db8::1]:443"), "", ""})) ==
        kSignatureHex + "21210024" + "20010db8000000000000000000000007" +
            "20010db8000000000000000000000001" + "c350" + "01bb");
}

TEST_CASE("server name and route follow as fields", "[edge][proxy-protocol]") {
  CHECK(Hex(ProxyHeader({Packed("192.0.2.7:50000"), Packed("198.51.100.1:443"), "a.example",
                         "r1"})) == kSignatureHex + "2111001d" + "c0000207" + "c6336401" + "c350" +
                                        "01bb" + "020009" + Hex("a.example") + "e00002" +
                                        Hex("r1"));
}

}  // namespace
}  // namespace berth::edge
