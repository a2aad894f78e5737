#include "common/crypto/signature.h"

#include <catch2/catch.hpp>

#include "common/crypto/hash.h"

namespace berth {
namespace {

std::string Bytes(absl::string_view hex) { return HexDecode(hex).value(); }

TEST_CASE("keys and signatures are those of RFC 8032", "[crypto][signature]") {
  struct Vector {
    const char* seed;
    const char* public_key;
    const char* message;
    const char* signature;
  };
  const auto vector =
      GENERATE(Vector{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                      "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
               Vector{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"});
  const auto key = SigningKey::FromSeed(Bytes(vector.seed));
  REQUIRE(key.ok());
  CHECK(HexEncode(key->public_key()) == vector.public_key);
  CHECK(HexEncode(key->Sign(Bytes(vector.message))) == vector.signature);
  CHECK(VerifySignature(Bytes(vector.public_key), Bytes(vector.message), Bytes(vector.signature)));
}

TEST_CASE("a signature counts for its message and its key only", "[crypto][signature]") {
  const SigningKey key = SigningKey::Generate();
  const std::string signature = key.Sign("message");
  REQUIRE(signature.size() == kSignatureSize);
  CHECK(VerifySignature(key.public_key(), "message", signature));
  CHECK_FALSE(VerifySignature(key.public_key(), "massage", signature));
  CHECK_FALSE(VerifySignature(key.public_key(), "", signature));
  CHECK_FALSE(VerifySignature(SigningKey::Generate().public_key(), "message", signature));
  for (size_t i = 0; i < signature.size(); ++i) {
    std::string changed = signature;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK_FALSE(VerifySignature(key.public_key(), "message", changed));
  }
}

TEST_CASE("keys and signatures of a wrong size verify nothing", "[crypto][signature]") {
  const SigningKey key = SigningKey::Generate();
  const std::string signature = key.Sign("message");
  CHECK_FALSE(VerifySignature("", "message", signature));
  CHECK_FALSE(VerifySignature(key.public_key() + "x", "message", signature));
  CHECK_FALSE(VerifySignature(key.public_key(), "message", ""));
  CHECK_FALSE(VerifySignature(key.public_key(), "message", signature + "x"));
}

TEST_CASE("a key of small order verifies nothing", "[crypto][signature]") {
  // With the neutral element as the key, R = it and S = 0 would satisfy the equation for every
  // message.
  const std::string neutral = "\x01" + std::string(31, '\0');
  CHECK_FALSE(VerifySignature(neutral, "message", neutral + std::string(32, '\0')));
}

TEST_CASE("a stored seed gives the same key", "[crypto][signature]") {
  const SigningKey key = SigningKey::Generate();
  const auto loaded = SigningKey::FromSeed(key.seed().view());
  REQUIRE(loaded.ok());
  CHECK(loaded->public_key() == key.public_key());
  CHECK(SigningKey::Generate().public_key() != key.public_key());
}

TEST_CASE("a seed of a wrong size is refused", "[crypto][signature]") {
  for (const size_t size : {0, 31, 33, 64}) {
    CHECK(SigningKey::FromSeed(std::string(size, 'a')).status().code() ==
          absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace berth
