#include "common/crypto/signature.h"

#include <sodium.h>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

static_assert(kSigningSeedSize == crypto_sign_SEEDBYTES);
static_assert(kVerifyingKeySize == crypto_sign_PUBLICKEYBYTES);
static_assert(kSignatureSize == crypto_sign_BYTES);

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

SigningKey::SigningKey(SecretBytes seed)
    : seed_(std::move(seed)),
      expanded_(crypto_sign_SECRETKEYBYTES),
      public_key_(kVerifyingKeySize, '\0') {
  crypto_sign_seed_keypair(reinterpret_cast<unsigned char*>(public_key_.data()), expanded_.data(),
                           seed_.data());
  seed_.MakeReadOnly();
  expanded_.MakeReadOnly();
}

SigningKey SigningKey::Generate() { return SigningKey(SecretBytes::Random(kSigningSeedSize)); }

absl::StatusOr<SigningKey> SigningKey::FromSeed(absl::string_view seed) {
  if (seed.size() != kSigningSeedSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("a signing key has ", kSigningSeedSize, " bytes, not ", seed.size()));
  }
  return SigningKey(SecretBytes::CopyOf(seed));
}

std::string SigningKey::Sign(absl::string_view message) const {
  std::string signature(kSignatureSize, '\0');
  crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr, Bytes(message),
                       message.size(), expanded_.data());
  return signature;
}

bool VerifySignature(absl::string_view public_key, absl::string_view message,
                     absl::string_view signature) {
  InitialiseCrypto();
  if (public_key.size() != kVerifyingKeySize || signature.size() != kSignatureSize) return false;
  return crypto_sign_verify_detached(Bytes(signature), Bytes(message), message.size(),
                                     Bytes(public_key)) == 0;
}

}  // namespace berth
