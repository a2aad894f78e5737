#include "common/crypto/key_ring.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/aead.h"
#include "common/crypto/hash.h"
#include "common/crypto/secret_file.h"
#include "common/files/atomic_file.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr char kHeader[] = "berth-key-ring v1\n";
constexpr size_t kHeaderSize = sizeof(kHeader) - 1;
constexpr size_t kIdSize = 8;
constexpr size_t kIdDigits = 2 * kIdSize;
constexpr size_t kKeyDigits = 2 * kEncryptionKeySize;
// Id, blank, key, newline.
constexpr size_t kLineSize = kIdDigits + 1 + kKeyDigits + 1;
constexpr size_t kFileSizeMax = kHeaderSize + KeyRing::kKeysMax * kLineSize;

constexpr char kWrappedVersion = 1;
constexpr size_t kWrappedPrefixSize = 1 + kIdSize;

absl::Status Malformed(const std::string& path, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(path, " is no key ring: ", what));
}

// Strict, and without a copy outside guarded memory.
bool DecodeKey(absl::string_view digits, SecretBytes* key) {
  size_t decoded = 0;
  return sodium_hex2bin(key->data(), key->size(), digits.data(), digits.size(), nullptr, &decoded,
                        nullptr) == 0 &&
         decoded == key->size();
}

std::string Bind(absl::string_view prefix, absl::string_view associated_data) {
  return absl::StrCat("berth-wrapped-key", prefix, associated_data);
}

}  // namespace

absl::StatusOr<KeyRing> KeyRing::LoadOrCreate(std::string path) {
  KeyRing ring(std::move(path));
  absl::Status loaded = ring.Reload();
  if (absl::IsNotFound(loaded)) {
    std::vector<Key> keys;
    keys.push_back(NewKey());
    absl::Status created = CreateFileAtomically(ring.path_, Format(keys).view(), 0600);
    if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
    loaded = ring.Reload();
  }
  BERTH_RETURN_IF_ERROR(loaded);
  return ring;
}

KeyRing::Key KeyRing::NewKey() {
  std::string id(kIdSize, '\0');
  InitialiseCrypto();
  randombytes_buf(id.data(), id.size());
  return {HexEncode(id), SecretBytes::Random(kEncryptionKeySize)};
}

absl::StatusOr<std::vector<KeyRing::Key>> KeyRing::Read(const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const SecretBytes file, ReadSecretFile(path, kFileSizeMax));
  absl::string_view text = file.view();
  if (text.substr(0, kHeaderSize) != kHeader) {
    return Malformed(path, "it does not begin with \"berth-key-ring v1\"");
  }
  text.remove_prefix(kHeaderSize);
  if (text.empty() || text.size() % kLineSize != 0) return Malformed(path, "it is cut short");
  std::vector<Key> keys;
  for (; !text.empty(); text.remove_prefix(kLineSize)) {
    const absl::string_view id = text.substr(0, kIdDigits);
    Key key{std::string(id), SecretBytes(kEncryptionKeySize)};
    // Never the line itself in a message: it holds a key.
    if (!HexDecode(id).has_value() || text[kIdDigits] != ' ' || text[kLineSize - 1] != '\n' ||
        !DecodeKey(text.substr(kIdDigits + 1, kKeyDigits), &key.bytes)) {
      return Malformed(path, absl::StrCat("line ", keys.size() + 2, " is not \"KEY_ID KEY\""));
    }
    for (const Key& other : keys) {
      if (other.id == key.id) return Malformed(path, absl::StrCat("key ", key.id, " stands twice"));
    }
    key.bytes.MakeReadOnly();
    keys.push_back(std::move(key));
  }
  return keys;
}

SecretBytes KeyRing::Format(const std::vector<Key>& keys) {
  // One more byte for the NUL that sodium_bin2hex writes after the last key.
  SecretBytes text(kHeaderSize + keys.size() * kLineSize + 1);
  char* out = reinterpret_cast<char*>(text.data());
  std::memcpy(out, kHeader, kHeaderSize);
  out += kHeaderSize;
  for (const Key& key : keys) {
    std::memcpy(out, key.id.data(), kIdDigits);
    out[kIdDigits] = ' ';
    sodium_bin2hex(out + kIdDigits + 1, kKeyDigits + 1, key.bytes.data(), key.bytes.size());
    out[kLineSize - 1] = '\n';
    out += kLineSize;
  }
  text.Truncate(text.size() - 1);
  return text;
}

absl::Status KeyRing::Reload() {
  BERTH_ASSIGN_OR_RETURN(keys_, Read(path_));
  return absl::OkStatus();
}

std::string KeyRing::Wrap(const SecretBytes& data_key, absl::string_view associated_data) const {
  const Key& key = keys_.back();
  const std::string prefix =
      absl::StrCat(std::string(1, kWrappedVersion), HexDecode(key.id).value());
  return absl::StrCat(prefix, Encrypt(key.bytes, data_key.view(), Bind(prefix, associated_data)));
}

absl::StatusOr<std::string> KeyRing::KeyIdOf(absl::string_view wrapped) {
  if (wrapped.size() < kWrappedPrefixSize + kEncryptionOverhead || wrapped[0] != kWrappedVersion) {
    return absl::DataLossError("not a wrapped key of a version this program knows");
  }
  return HexEncode(wrapped.substr(1, kIdSize));
}

absl::StatusOr<SecretBytes> KeyRing::Unwrap(absl::string_view wrapped,
                                            absl::string_view associated_data) const {
  BERTH_ASSIGN_OR_RETURN(const std::string id, KeyIdOf(wrapped));
  const auto key = std::find_if(keys_.begin(), keys_.end(),
                                [&](const Key& candidate) { return candidate.id == id; });
  if (key == keys_.end()) {
    return absl::FailedPreconditionError(absl::StrCat("key ", id, " is not in the ring ", path_));
  }
  return Decrypt(key->bytes, wrapped.substr(kWrappedPrefixSize),
                 Bind(wrapped.substr(0, kWrappedPrefixSize), associated_data));
}

absl::StatusOr<std::string> KeyRing::Rotate() {
  BERTH_ASSIGN_OR_RETURN(std::vector<Key> keys, Read(path_));
  if (keys.size() >= kKeysMax) {
    return absl::ResourceExhaustedError(absl::StrCat(
        path_, " holds ", kKeysMax, " keys, the most there may be; remove old ones first"));
  }
  keys.push_back(NewKey());
  BERTH_RETURN_IF_ERROR(WriteFileAtomically(path_, Format(keys).view(), 0600));
  keys_ = std::move(keys);
  return current_key_id();
}

absl::Status KeyRing::RemoveOldKeys() {
  BERTH_ASSIGN_OR_RETURN(std::vector<Key> keys, Read(path_));
  if (keys.back().id != current_key_id()) {
    return absl::AbortedError(absl::StrCat(path_, " was rotated by another process"));
  }
  keys.erase(keys.begin(), keys.end() - 1);
  BERTH_RETURN_IF_ERROR(WriteFileAtomically(path_, Format(keys).view(), 0600));
  keys_ = std::move(keys);
  return absl::OkStatus();
}

}  // namespace berth
