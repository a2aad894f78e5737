#include "common/crypto/machine_identity.h"

#include <sodium.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/certificates.h"
#include "common/crypto/hash.h"
#include "common/crypto/secret_file.h"
#include "common/files/atomic_file.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr char kWireguardPurpose[] = "berth-wireguard-key-v1";
constexpr char kSealingPurpose[] = "berth-sealing-key-v1";

constexpr size_t kFingerprintBytes = 16;
constexpr size_t kKeySize = 32;
constexpr size_t kKeyDigits = 44;
constexpr size_t kKeyFileSize = kKeyDigits + 1;

// 32 bytes as base64 and a newline.
SecretBytes FormatKey(const SecretBytes& key) {
  // sodium_bin2base64 ends with a NUL, which the newline replaces.
  SecretBytes text(kKeyFileSize);
  sodium_bin2base64(reinterpret_cast<char*>(text.data()), text.size(), key.data(), key.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  text.data()[kKeyDigits] = '\n';
  return text;
}

// kNotFound: there is no such file.
absl::StatusOr<SecretBytes> ReadKey(const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const SecretBytes text, ReadSecretFile(path, kKeyFileSize));
  SecretBytes key(kKeySize);
  size_t decoded = 0;
  // A final newline is skipped, as an editor may have taken it.
  if (sodium_base642bin(key.data(), key.size(), text.view().data(), text.size(), "\n", &decoded,
                        nullptr, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      decoded != kKeySize) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is no key: it does not hold 32 bytes in base64"));
  }
  return key;
}

absl::StatusOr<SecretBytes> ReadOrCreateKey(const std::string& path, SecretBytes fresh) {
  absl::StatusOr<SecretBytes> key = ReadKey(path);
  if (!absl::IsNotFound(key.status())) return key;
  absl::Status created = CreateFileAtomically(path, FormatKey(fresh).view(), 0600);
  if (created.ok()) return fresh;
  // Another process of this machine was faster: its key is the machine's.
  if (absl::IsAlreadyExists(created)) return ReadKey(path);
  return created;
}

absl::Status MakePrivateFolder(const std::string& folder) {
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make the folder ", folder));
  }
  return absl::OkStatus();
}

absl::StatusOr<SecretBytes> ReadExistingKey(const std::string& path) {
  absl::StatusOr<SecretBytes> key = ReadKey(path);
  if (!absl::IsNotFound(key.status())) return key;
  return absl::FailedPreconditionError(absl::StrCat(
      path, " is missing beside an identity key; restore it, or remove the folder and join again"));
}

// Curve25519 ignores the bits that are fixed here, but wg(8) shows keys in this form only.
SecretBytes NewWireguardKey() {
  SecretBytes key = SecretBytes::Random(kKeySize);
  key.data()[0] &= 248;
  key.data()[31] &= 127;
  key.data()[31] |= 64;
  return key;
}

}  // namespace

std::string KeyFingerprint(absl::string_view identity) {
  return HexEncode(Blake2b256({identity}).substr(0, kFingerprintBytes));
}

absl::Status VerifyPublicKeys(const PublicKeys& keys) {
  if (!VerifySignature(keys.identity, absl::StrCat(kWireguardPurpose, keys.wireguard),
                       keys.wireguard_signature) ||
      keys.wireguard.size() != kKeySize) {
    return absl::InvalidArgumentError("the wireguard key is not signed by the identity key");
  }
  if (!VerifySignature(keys.identity, absl::StrCat(kSealingPurpose, keys.sealing),
                       keys.sealing_signature) ||
      keys.sealing.size() != kKeySize) {
    return absl::InvalidArgumentError("the sealing key is not signed by the identity key");
  }
  return absl::OkStatus();
}

absl::StatusOr<MachineIdentity> MachineIdentity::LoadOrCreate(const std::string& folder) {
  const std::string identity_path = folder + "/identity.key";
  const std::string wireguard_path = folder + "/wireguard.key";
  const std::string sealing_path = folder + "/sealing.key";
  absl::StatusOr<SecretBytes> identity = ReadKey(identity_path);
  absl::StatusOr<SecretBytes> wireguard;
  absl::StatusOr<SecretBytes> sealing;
  if (absl::IsNotFound(identity.status())) {
    BERTH_RETURN_IF_ERROR(MakePrivateFolder(folder));
    wireguard = ReadOrCreateKey(wireguard_path, NewWireguardKey());
    BERTH_RETURN_IF_ERROR(wireguard.status());
    sealing = ReadOrCreateKey(sealing_path, SecretBytes::Random(kKeySize));
    BERTH_RETURN_IF_ERROR(sealing.status());
    identity = ReadOrCreateKey(identity_path, SecretBytes::Random(kKeySize));
  } else {
    BERTH_RETURN_IF_ERROR(identity.status());
    wireguard = ReadExistingKey(wireguard_path);
    BERTH_RETURN_IF_ERROR(wireguard.status());
    sealing = ReadExistingKey(sealing_path);
    BERTH_RETURN_IF_ERROR(sealing.status());
  }
  BERTH_RETURN_IF_ERROR(identity.status());
  BERTH_ASSIGN_OR_RETURN(SigningKey signing_key, SigningKey::FromSeed(identity->view()));
  BERTH_ASSIGN_OR_RETURN(SealingKey wireguard_key, SealingKey::FromPrivateKey(wireguard->view()));
  BERTH_ASSIGN_OR_RETURN(SealingKey sealing_key, SealingKey::FromPrivateKey(sealing->view()));
  return MachineIdentity(std::move(signing_key), std::move(wireguard_key), std::move(sealing_key));
}

MachineIdentity::MachineIdentity(SigningKey signing_key, SealingKey wireguard_key,
                                 SealingKey sealing_key)
    : signing_key_(std::move(signing_key)),
      wireguard_key_(std::move(wireguard_key)),
      sealing_key_(std::move(sealing_key)) {
  public_keys_.identity = signing_key_.public_key();
  public_keys_.wireguard = wireguard_key_.public_key();
  public_keys_.sealing = sealing_key_.public_key();
  public_keys_.wireguard_signature =
      signing_key_.Sign(absl::StrCat(kWireguardPurpose, public_keys_.wireguard));
  public_keys_.sealing_signature =
      signing_key_.Sign(absl::StrCat(kSealingPurpose, public_keys_.sealing));
}

absl::StatusOr<std::string> MachineIdentity::CertificatePem(absl::string_view common_name) const {
  return SelfSigned(signing_key_, common_name);
}

absl::StatusOr<std::string> MachineIdentity::PrivateKeyPem() const {
  return ::berth::PrivateKeyPem(signing_key_);
}

}  // namespace berth
