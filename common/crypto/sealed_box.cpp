#include "common/crypto/sealed_box.h"

#include <sodium.h>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

static_assert(kSealingKeySize == crypto_box_PUBLICKEYBYTES);
static_assert(kSealingKeySize == crypto_box_SECRETKEYBYTES);
static_assert(kSealOverhead == crypto_box_SEALBYTES);

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

absl::Status WrongKeySize(size_t size) {
  return absl::InvalidArgumentError(
      absl::StrCat("a sealing key has ", kSealingKeySize, " bytes, not ", size));
}

}  // namespace

SealingKey::SealingKey(SecretBytes private_key)
    : private_key_(std::move(private_key)), public_key_(kSealingKeySize, '\0') {
  crypto_scalarmult_base(reinterpret_cast<unsigned char*>(public_key_.data()), private_key_.data());
  private_key_.MakeReadOnly();
}

SealingKey SealingKey::Generate() { return SealingKey(SecretBytes::Random(kSealingKeySize)); }

absl::StatusOr<SealingKey> SealingKey::FromPrivateKey(absl::string_view private_key) {
  if (private_key.size() != kSealingKeySize) return WrongKeySize(private_key.size());
  return SealingKey(SecretBytes::CopyOf(private_key));
}

absl::StatusOr<SecretBytes> SealingKey::Open(absl::string_view sealed) const {
  if (sealed.size() < kSealOverhead) {
    return absl::InvalidArgumentError("the sealed box is cut short");
  }
  SecretBytes content(sealed.size() - kSealOverhead);
  if (crypto_box_seal_open(content.data(), Bytes(sealed), sealed.size(), Bytes(public_key_),
                           private_key_.data()) != 0) {
    return absl::InvalidArgumentError("the sealed box is not for this key, or was changed");
  }
  return content;
}

absl::StatusOr<std::string> Seal(absl::string_view public_key, absl::string_view content) {
  InitialiseCrypto();
  if (public_key.size() != kSealingKeySize) return WrongKeySize(public_key.size());
  std::string sealed(content.size() + kSealOverhead, '\0');
  if (crypto_box_seal(reinterpret_cast<unsigned char*>(sealed.data()), Bytes(content),
                      content.size(), Bytes(public_key)) != 0) {
    return absl::InvalidArgumentError("the sealing key is none: its point has small order");
  }
  return sealed;
}

}  // namespace berth
