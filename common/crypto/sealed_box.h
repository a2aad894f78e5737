#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/crypto/secret_bytes.h"

namespace berth {

inline constexpr size_t kSealingKeySize = 32;
// What a sealed box is larger than its content.
inline constexpr size_t kSealOverhead = 48;

// An X25519 key pair that sealed boxes are addressed to. Const methods are safe from several
// threads.
class SealingKey {
 public:
  static SealingKey Generate();

  // kInvalidArgument: not kSealingKeySize bytes.
  static absl::StatusOr<SealingKey> FromPrivateKey(absl::string_view private_key);

  // kSealingKeySize raw bytes.
  const std::string& public_key() const { return public_key_; }

  // What FromPrivateKey takes: the form in which a key is stored.
  const SecretBytes& private_key() const { return private_key_; }

  // kInvalidArgument: sealed to another key, cut short or tampered with.
  absl::StatusOr<SecretBytes> Open(absl::string_view sealed) const;

 private:
  explicit SealingKey(SecretBytes private_key);

  SecretBytes private_key_;
  std::string public_key_;
};

// Encrypts `content` so that only the owner of `public_key` can open it. It does not say who sealed
// it: anyone can. kInvalidArgument: not a public key.
absl::StatusOr<std::string> Seal(absl::string_view public_key, absl::string_view content);

inline absl::StatusOr<std::string> Seal(absl::string_view public_key, const SecretBytes& content) {
  return Seal(public_key, content.view());
}

}  // namespace berth
