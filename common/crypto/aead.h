#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/crypto/secret_bytes.h"

namespace berth {

// Authenticated encryption with XChaCha20-Poly1305. Its nonce is long enough to be drawn at random
// for every message, so one key serves for as many as are wanted.
inline constexpr size_t kEncryptionKeySize = 32;
// What a ciphertext is larger than its plaintext: a nonce of 24 bytes before it, a tag of 16 after.
inline constexpr size_t kEncryptionOverhead = 40;

// `associated_data` is bound to the ciphertext but not in it: naming what the plaintext belongs to,
// it keeps one stored value from being put in the place of another. `key` has kEncryptionKeySize
// bytes.
std::string Encrypt(const SecretBytes& key, absl::string_view plaintext,
                    absl::string_view associated_data);

// kDataLoss: another key, other associated data, or bytes that were changed.
absl::StatusOr<SecretBytes> Decrypt(const SecretBytes& key, absl::string_view ciphertext,
                                    absl::string_view associated_data);

}  // namespace berth
