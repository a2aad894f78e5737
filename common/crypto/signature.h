#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/crypto/secret_bytes.h"

namespace berth {

inline constexpr size_t kSigningSeedSize = 32;
inline constexpr size_t kVerifyingKeySize = 32;
inline constexpr size_t kSignatureSize = 64;

// An Ed25519 key pair. Whoever signs for two purposes puts a distinct constant in front of each
// kind of message, so that a signature made for one never counts for the other.
//
// Const methods are safe from several threads.
class SigningKey {
 public:
  static SigningKey Generate();

  // kInvalidArgument: not kSigningSeedSize bytes.
  static absl::StatusOr<SigningKey> FromSeed(absl::string_view seed);

  // kVerifyingKeySize raw bytes.
  const std::string& public_key() const { return public_key_; }

  // What FromSeed takes: the form in which a key is stored.
  const SecretBytes& seed() const { return seed_; }

  // kSignatureSize raw bytes; the same message gives the same signature.
  std::string Sign(absl::string_view message) const;

 private:
  explicit SigningKey(SecretBytes seed);

  SecretBytes seed_;
  SecretBytes expanded_;  // Seed and public key, as libsodium signs with.
  std::string public_key_;
};

// Whether `signature` was made over `message` by the owner of `public_key`. Keys and signatures of
// a wrong size, and keys of small order, verify nothing.
[[nodiscard]] bool VerifySignature(absl::string_view public_key, absl::string_view message,
                                   absl::string_view signature);

}  // namespace berth
