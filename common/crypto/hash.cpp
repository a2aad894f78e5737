#include "common/crypto/hash.h"

#include <sodium.h>

#include "absl/strings/escaping.h"
#include "common/check/check.h"
#include "common/crypto/secret_bytes.h"

namespace berth {
namespace {

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string Hash(absl::string_view key, std::initializer_list<absl::string_view> parts,
                 size_t size) {
  InitialiseCrypto();
  crypto_generichash_state state;
  crypto_generichash_init(&state, key.empty() ? nullptr : Bytes(key), key.size(), size);
  for (const absl::string_view part : parts) {
    crypto_generichash_update(&state, Bytes(part), part.size());
  }
  std::string digest(size, '\0');
  crypto_generichash_final(&state, reinterpret_cast<unsigned char*>(digest.data()), size);
  sodium_memzero(&state, sizeof(state));
  return digest;
}

std::string KeyedHash(absl::string_view key, absl::string_view message, size_t size) {
  BERTH_CHECK(key.size() >= kHashKeySizeMin && key.size() <= kHashKeySizeMax);
  return Hash(key, {message}, size);
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string Blake2b256(std::initializer_list<absl::string_view> parts) {
  return Hash("", parts, kBlake2b256Size);
}

std::string Sha256(absl::string_view message) {
  InitialiseCrypto();
  std::string digest(crypto_hash_sha256_BYTES, '\0');
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(digest.data()), Bytes(message),
                     message.size());
  return digest;
}

std::string KeyedBlake2b256(absl::string_view key, absl::string_view message) {
  return KeyedHash(key, message, kBlake2b256Size);
}

std::string KeyedBlake2b128(absl::string_view key, absl::string_view message) {
  return KeyedHash(key, message, kBlake2b128Size);
}

std::string HexEncode(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

std::optional<std::string> HexDecode(absl::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = HexDigit(text[i]);
    const int low = HexDigit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

}  // namespace berth
