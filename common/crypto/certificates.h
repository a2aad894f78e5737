#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/crypto/secret_bytes.h"
#include "common/crypto/signature.h"

namespace berth {

// X.509 certificates, as far as TLS needs them. All keys are Ed25519. A certificate is only the
// envelope of a key here: who a peer is follows from the pinned key, and nothing is ever renewed.
// Every certificate is valid from a day before it was made, for clocks that are behind.

// The largest PEM text that is looked at, and the most names of one certificate.
inline constexpr size_t kCertificatePemSizeMax = size_t{16} * 1024;
inline constexpr size_t kCertificateNamesMax = 64;

// The platform's own certificate authority, which signs the server certificates of services and
// nothing else. Const methods are safe from several threads.
class CertificateAuthority {
 public:
  // A new key and its own certificate, valid for twenty years.
  static absl::StatusOr<CertificateAuthority> Generate();

  // What Generate made and the caller stored. kInvalidArgument: not a seed, not a certificate of an
  // authority, or a certificate of another key.
  static absl::StatusOr<CertificateAuthority> LoadFrom(const SecretBytes& seed,
                                                       absl::string_view certificate_pem);

  // Valid as long as the authority is, for the server that has the private key of `public_key`.
  // kInvalidArgument: no name, too many, or one that is not a DNS name or not an IP address (the
  // message quotes it).
  absl::StatusOr<std::string> IssueServerCertificate(
      absl::string_view public_key, const std::vector<std::string>& dns_names,
      const std::vector<std::string>& ip_addresses) const;

  const std::string& certificate_pem() const { return certificate_pem_; }
  const SecretBytes& seed() const { return key_.seed(); }

 private:
  CertificateAuthority(SigningKey key, std::string certificate_pem)
      : key_(std::move(key)), certificate_pem_(std::move(certificate_pem)) {}

  SigningKey key_;
  std::string certificate_pem_;
};

// A certificate that a machine shows for its own key, without an end. `common_name` is for people
// who look at it (1 to 64 characters); nothing trusts it.
absl::StatusOr<std::string> SelfSigned(const SigningKey& key, absl::string_view common_name);

// The key as PKCS#8. A std::string, against the rule for secrets, because gRPC's PemKeyCertPair
// takes one and copies it anyway: it goes there and nowhere else.
absl::StatusOr<std::string> PrivateKeyPem(const SigningKey& key);

// The raw Ed25519 public key of the first certificate in `pem`, which a peer sent: anything can be
// in it. kInvalidArgument: not a certificate, larger than kCertificatePemSizeMax, or another kind
// of key. Says nothing about the certificate's signature or dates: TLS has proved possession of the
// key, and the caller looks the key up.
absl::StatusOr<std::string> PublicKeyOfCertificate(absl::string_view pem);

// SHA-256 of the first certificate's DER form, in lower-case hex. kInvalidArgument as above.
absl::StatusOr<std::string> Fingerprint(absl::string_view pem);

}  // namespace berth
