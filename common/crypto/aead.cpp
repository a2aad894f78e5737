#include "common/crypto/aead.h"

#include <sodium.h>

#include "common/check/check.h"

namespace berth {
namespace {

constexpr size_t kNonceSize = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;

static_assert(kEncryptionKeySize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(kEncryptionOverhead == kNonceSize + crypto_aead_xchacha20poly1305_ietf_ABYTES);

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

std::string Encrypt(const SecretBytes& key, absl::string_view plaintext,
                    absl::string_view associated_data) {
  BERTH_CHECK(key.size() == kEncryptionKeySize);
  std::string ciphertext(plaintext.size() + kEncryptionOverhead, '\0');
  auto* nonce = reinterpret_cast<unsigned char*>(ciphertext.data());
  randombytes_buf(nonce, kNonceSize);
  crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + kNonceSize, nullptr, Bytes(plaintext),
                                             plaintext.size(), Bytes(associated_data),
                                             associated_data.size(), nullptr, nonce, key.data());
  return ciphertext;
}

absl::StatusOr<SecretBytes> Decrypt(const SecretBytes& key, absl::string_view ciphertext,
                                    absl::string_view associated_data) {
  BERTH_CHECK(key.size() == kEncryptionKeySize);
  if (ciphertext.size() < kEncryptionOverhead) {
    return absl::DataLossError("the ciphertext is cut short");
  }
  SecretBytes plaintext(ciphertext.size() - kEncryptionOverhead);
  const unsigned char* nonce = Bytes(ciphertext);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          plaintext.data(), nullptr, nullptr, nonce + kNonceSize, ciphertext.size() - kNonceSize,
          Bytes(associated_data), associated_data.size(), nonce, key.data()) != 0) {
    return absl::DataLossError(
        "the ciphertext was changed, or belongs to another key or another place");
  }
  return plaintext;
}

}  // namespace berth
