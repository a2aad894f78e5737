#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/crypto/sealed_box.h"
#include "common/crypto/secret_bytes.h"
#include "common/crypto/signature.h"

namespace berth {

// What a machine tells others about itself: three raw public keys of 32 bytes, the last two signed
// by the first (64 bytes each).
struct PublicKeys {
  std::string identity;   // Ed25519.
  std::string wireguard;  // X25519.
  std::string sealing;    // X25519.
  std::string wireguard_signature;
  std::string sealing_signature;

  bool operator==(const PublicKeys&) const = default;
};

// What people compare to know an identity key: 32 hex digits of its hash.
std::string KeyFingerprint(absl::string_view identity);

// Whether the owner of `keys.identity` says that the other two are its own. kInvalidArgument: the
// message names the key that is not.
absl::Status VerifyPublicKeys(const PublicKeys& keys);

// The keys that a host, an edge or a service makes for itself. The private ones never leave the
// machine: they lie in a folder of mode 0700, one file of mode 0600 each (identity.key,
// wireguard.key, sealing.key; one line of base64, as wg(8) writes keys).
//
// Const methods are safe from several threads.
class MachineIdentity {
 public:
  // Reads the keys, or makes what is missing, as long as there is no identity key yet: it is made
  // last, and once it is there a missing file is an error (kFailedPrecondition, naming the file),
  // because a new key would look to everyone else like a changed machine.
  static absl::StatusOr<MachineIdentity> LoadOrCreate(const std::string& folder);

  const PublicKeys& public_keys() const { return public_keys_; }

  // The identity key signs what the machine says. What is signed begins with a constant that names
  // its purpose (see signature.h).
  const SigningKey& signing_key() const { return signing_key_; }
  const SealingKey& sealing_key() const { return sealing_key_; }
  // 32 raw bytes.
  const SecretBytes& wireguard_private_key() const { return wireguard_key_.private_key(); }

  // For TLS with the identity key itself: a self-signed certificate, made anew by every process,
  // and the private key (see PrivateKeyPem in certificates.h on why it is a std::string).
  absl::StatusOr<std::string> CertificatePem(absl::string_view common_name) const;
  absl::StatusOr<std::string> PrivateKeyPem() const;

 private:
  MachineIdentity(SigningKey signing_key, SealingKey wireguard_key, SealingKey sealing_key);

  SigningKey signing_key_;
  SealingKey wireguard_key_;  // An X25519 pair as well; nothing is ever sealed to it.
  SealingKey sealing_key_;
  PublicKeys public_keys_;
};

}  // namespace berth
