#include "common/crypto/aead.h"

#include <catch2/catch.hpp>

#include "common/crypto/hash.h"

namespace berth {
namespace {

std::string Bytes(absl::string_view hex) { return HexDecode(hex).value(); }

TEST_CASE("a ciphertext of the XChaCha20-Poly1305 draft is decrypted", "[crypto][aead]") {
  // draft-irtf-cfrg-xchacha-03, A.3.1.
  const SecretBytes key = SecretBytes::CopyOf(
      Bytes("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"));
  const std::string ciphertext = Bytes(
      "404142434445464748494a4b4c4d4e4f5051525354555657"
      "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
      "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
      "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
      "21f9664c97637da9768812f615c68b13b52e"
      "c0875924c1c7987947deafd8780acf49");
  const auto plaintext = Decrypt(key, ciphertext, Bytes("50515253c0c1c2c3c4c5c6c7"));
  REQUIRE(plaintext.ok());
  CHECK(plaintext->view() ==
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        "future, sunscreen would be it.");
}

TEST_CASE("what was encrypted is decrypted under the same key and place", "[crypto][aead]") {
  const SecretBytes key = SecretBytes::Random(kEncryptionKeySize);
  const std::string plaintext = GENERATE(std::string(), std::string("x"), std::string(9000, 'x'));
  const std::string ciphertext = Encrypt(key, plaintext, "place");
  CHECK(ciphertext.size() == plaintext.size() + kEncryptionOverhead);
  const auto decrypted = Decrypt(key, ciphertext, "place");
  REQUIRE(decrypted.ok());
  CHECK(decrypted->view() == plaintext);
  CHECK(Decrypt(key, ciphertext, "another place").status().code() == absl::StatusCode::kDataLoss);
  CHECK(Decrypt(key, ciphertext, "").status().code() == absl::StatusCode::kDataLoss);
  CHECK(Decrypt(SecretBytes::Random(kEncryptionKeySize), ciphertext, "place").status().code() ==
        absl::StatusCode::kDataLoss);
}

TEST_CASE("a nonce is not used twice", "[crypto][aead]") {
  const SecretBytes key = SecretBytes::Random(kEncryptionKeySize);
  CHECK(Encrypt(key, "secret", "").substr(0, 24) != Encrypt(key, "secret", "").substr(0, 24));
}

TEST_CASE("a changed or shortened ciphertext is refused", "[crypto][aead]") {
  const SecretBytes key = SecretBytes::Random(kEncryptionKeySize);
  const std::string ciphertext = Encrypt(key, "secret", "place");
  for (size_t i = 0; i < ciphertext.size(); ++i) {
    std::string changed = ciphertext;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK_FALSE(Decrypt(key, changed, "place").ok());
    CHECK_FALSE(Decrypt(key, ciphertext.substr(0, i), "place").ok());
  }
  CHECK_FALSE(Decrypt(key, ciphertext + "x", "place").ok());
}

}  // namespace
}  // namespace berth
