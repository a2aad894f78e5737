#include "common/crypto/sealed_box.h"

#include <catch2/catch.hpp>

#include "common/crypto/hash.h"

namespace berth {
namespace {

std::string Bytes(absl::string_view hex) { return HexDecode(hex).value(); }

TEST_CASE("a sealing key is that of RFC 7748", "[crypto][sealed-box]") {
  const auto key = SealingKey::FromPrivateKey(
      Bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
  REQUIRE(key.ok());
  CHECK(HexEncode(key->public_key()) ==
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
}

TEST_CASE("a sealed box is opened by its key and by no other", "[crypto][sealed-box]") {
  const SealingKey key = SealingKey::Generate();
  const std::string content =
      GENERATE(std::string(), std::string("secret"), std::string(9000, 'x'));
  const auto sealed = Seal(key.public_key(), SecretBytes::CopyOf(content));
  REQUIRE(sealed.ok());
  CHECK(sealed->size() == content.size() + kSealOverhead);
  const auto opened = key.Open(*sealed);
  REQUIRE(opened.ok());
  CHECK(opened->view() == content);
  CHECK(SealingKey::Generate().Open(*sealed).status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("the same content is never sealed to the same bytes", "[crypto][sealed-box]") {
  const SealingKey key = SealingKey::Generate();
  CHECK(*Seal(key.public_key(), "secret") != *Seal(key.public_key(), "secret"));
}

TEST_CASE("a stored sealing key opens what was sealed before", "[crypto][sealed-box]") {
  const SealingKey key = SealingKey::Generate();
  const auto sealed = Seal(key.public_key(), "secret");
  const auto loaded = SealingKey::FromPrivateKey(key.private_key().view());
  REQUIRE(loaded.ok());
  CHECK(loaded->public_key() == key.public_key());
  CHECK(loaded->Open(*sealed)->view() == "secret");
}

TEST_CASE("a changed or shortened sealed box is not opened", "[crypto][sealed-box]") {
  const SealingKey key = SealingKey::Generate();
  const auto sealed = Seal(key.public_key(), "secret");
  REQUIRE(sealed.ok());
  for (size_t i = 0; i < sealed->size(); ++i) {
    std::string changed = *sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK_FALSE(key.Open(changed).ok());
    CHECK_FALSE(key.Open(sealed->substr(0, i)).ok());
  }
  CHECK_FALSE(key.Open(*sealed + "x").ok());
}

TEST_CASE("what is no sealing key is refused", "[crypto][sealed-box]") {
  CHECK(Seal("short", "secret").status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(Seal(std::string(kSealingKeySize, '\0'), "secret").status().code() ==
        absl::StatusCode::kInvalidArgument);
  CHECK(SealingKey::FromPrivateKey("short").status().code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth
