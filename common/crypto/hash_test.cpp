#include "common/crypto/hash.h"

#include <catch2/catch.hpp>

namespace berth {
namespace {

TEST_CASE("BLAKE2b-256 gives the known digests", "[crypto][hash]") {
  CHECK(HexEncode(Blake2b256({""})) ==
        "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  CHECK(HexEncode(Blake2b256({"abc"})) ==
        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

TEST_CASE("the parts of a message hash as one string", "[crypto][hash]") {
  const std::string whole = Blake2b256({"abc"});
  CHECK(Blake2b256({"a", "bc"}) == whole);
  CHECK(Blake2b256({"", "ab", "", "c"}) == whole);
  CHECK(Blake2b256({}) == Blake2b256({""}));
  CHECK(Blake2b256({"a", "b"}) != whole);
}

TEST_CASE("a keyed digest gives the known digests and depends on the key", "[crypto][hash]") {
  const std::string key = "0123456789abcdef";
  CHECK(HexEncode(KeyedBlake2b256(key, "abc")) ==
        "66b4857d42c644c61fca8c0bcea243e0e75088582c7964bbac6b92c02381d9c7");
  CHECK(HexEncode(KeyedBlake2b128(key, "abc")) == "ba12358e44e48c3039f89e0d14dbcaa5");
  CHECK(KeyedBlake2b256("0123456789abcdeF", "abc") != KeyedBlake2b256(key, "abc"));
  CHECK(KeyedBlake2b256(key, "abd") != KeyedBlake2b256(key, "abc"));
}

TEST_CASE("SHA-256 gives the known digest", "[crypto][hash]") {
  CHECK(HexEncode(Sha256("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("hex is read back as it is written", "[crypto][hash]") {
  const std::string bytes("\x00\x7f\x80\xff", 4);
  CHECK(HexEncode(bytes) == "007f80ff");
  CHECK(HexDecode("007f80ff") == bytes);
  CHECK(HexDecode("") == "");
}

TEST_CASE("what is not lower-case hex is not decoded", "[crypto][hash]") {
  for (const char* text : {"0", "0g", "AB", "0x00", " 00", "00\n", "-1"}) {
    INFO(text);
    CHECK(HexDecode(text) == std::nullopt);
  }
}

}  // namespace
}  // namespace berth
