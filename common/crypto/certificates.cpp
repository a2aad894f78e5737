#include "common/crypto/certificates.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/crypto/hash.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

template <auto kFree>
struct FreeWith {
  template <typename T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using BigNumber = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, FreeWith<X509_EXTENSION_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;

constexpr long kDaySeconds = 24L * 60 * 60;
constexpr int kAuthorityDays = 20 * 365;
constexpr int kSerialBits = 127;  // Positive, and within the 20 bytes that RFC 5280 allows.
constexpr char kAuthorityName[] = "Berth platform CA";
constexpr char kServerName[] = "Berth service";
// RFC 5280 4.1.2.5: the date that says there is no end.
constexpr char kNoEnd[] = "99991231235959Z";
constexpr size_t kCommonNameSizeMax = 64;
constexpr size_t kDnsNameSizeMax = 253;
constexpr size_t kDnsLabelSizeMax = 63;

// OpenSSL gathers its errors in a queue per thread; it is emptied here, so that the next caller on
// this thread (gRPC's TLS) does not find ours.
absl::Status OpensslError(absl::StatusCode code, absl::string_view what) {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  ERR_clear_error();
  return absl::Status(code,
                      reason == nullptr ? std::string(what) : absl::StrCat(what, ": ", reason));
}

absl::Status Internal(absl::string_view what) {
  return OpensslError(absl::StatusCode::kInternal, what);
}

absl::Status Invalid(absl::string_view what) {
  return OpensslError(absl::StatusCode::kInvalidArgument, what);
}

absl::StatusOr<Key> PrivateKey(const SecretBytes& seed) {
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  if (key == nullptr) return Internal("OpenSSL takes no Ed25519 key");
  return key;
}

absl::StatusOr<Key> PublicKey(absl::string_view public_key) {
  Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr,
                                      reinterpret_cast<const unsigned char*>(public_key.data()),
                                      public_key.size()));
  if (key == nullptr) return Invalid("not an Ed25519 public key");
  return key;
}

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size <= 0 ? std::string() : std::string(data, static_cast<size_t>(size));
}

absl::StatusOr<std::string> ToPem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), certificate) != 1) {
    return Internal("cannot write a certificate");
  }
  return Contents(bio.get());
}

absl::StatusOr<Certificate> Parse(absl::string_view pem) {
  if (pem.size() > kCertificatePemSizeMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the certificate has more than ", kCertificatePemSizeMax, " bytes"));
  }
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // An encrypted PEM must never make a daemon ask for a passphrase on its terminal.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  Certificate certificate(
      bio == nullptr ? nullptr : PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
  if (certificate == nullptr) return Invalid("not a certificate");
  return certificate;
}

absl::StatusOr<std::string> RawPublicKey(X509* certificate) {
  EVP_PKEY* key = X509_get0_pubkey(certificate);
  if (key == nullptr || EVP_PKEY_id(key) != EVP_PKEY_ED25519) {
    return Invalid("the certificate's key is not an Ed25519 key");
  }
  std::string raw(kVerifyingKeySize, '\0');
  size_t size = raw.size();
  if (EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(raw.data()), &size) != 1 ||
      size != raw.size()) {
    return Invalid("the certificate's Ed25519 key cannot be read");
  }
  return raw;
}

absl::Status AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return Internal("cannot add an extension to a certificate");
  }
  return absl::OkStatus();
}

// A certificate with a random serial number, both names, the key and its first date; what is left
// is the last date, the extensions and the signature.
absl::StatusOr<Certificate> NewCertificate(EVP_PKEY* key, absl::string_view subject,
                                           absl::string_view issuer) {
  Certificate certificate(X509_new());
  const BigNumber serial(BN_new());
  if (certificate == nullptr || serial == nullptr) return Internal("no memory for a certificate");
  const auto set_name = [](X509_NAME* name, absl::string_view text) {
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0) == 1;
  };
  // A top bit of one keeps the number from being zero, which RFC 5280 forbids.
  if (X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1 ||
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get())) == nullptr ||
      X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kDaySeconds) == nullptr ||
      !set_name(X509_get_subject_name(certificate.get()), subject) ||
      !set_name(X509_get_issuer_name(certificate.get()), issuer) ||
      X509_set_pubkey(certificate.get(), key) != 1) {
    return Internal("cannot make a certificate");
  }
  return certificate;
}

// Ed25519 hashes for itself, so there is no digest to choose.
absl::StatusOr<std::string> SignedPem(X509* certificate, EVP_PKEY* key) {
  if (X509_sign(certificate, key, nullptr) <= 0) return Internal("cannot sign a certificate");
  return ToPem(certificate);
}

bool IsDnsName(absl::string_view name) {
  if (name.empty() || name.size() > kDnsNameSizeMax) return false;
  for (const absl::string_view label : absl::StrSplit(name, '.')) {
    if (label.empty() || label.size() > kDnsLabelSizeMax || label.front() == '-' ||
        label.back() == '-') {
      return false;
    }
    for (const char c : label) {
      if (!absl::ascii_isalnum(c) && c != '-' && c != '_') return false;
    }
  }
  return true;
}

absl::Status AddName(GENERAL_NAMES* names, int type, absl::string_view bytes) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_STRING* value = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
  if (name == nullptr || value == nullptr ||
      ASN1_STRING_set(value, bytes.data(), static_cast<int>(bytes.size())) != 1 ||
      sk_GENERAL_NAME_push(names, name) == 0) {
    GENERAL_NAME_free(name);
    ASN1_STRING_free(value);
    return Internal("no memory for a certificate's names");
  }
  GENERAL_NAME_set0_value(name, type, value);
  return absl::OkStatus();
}

absl::Status AddIpAddress(GENERAL_NAMES* names, const std::string& text) {
  unsigned char bytes[sizeof(in6_addr)];
  size_t size = 0;
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) {
    size = sizeof(in_addr);
  } else if (inet_pton(AF_INET6, text.c_str(), bytes) == 1) {
    size = sizeof(in6_addr);
  }
  if (size == 0 || text.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", absl::CHexEscape(text), "\" is not an IP address"));
  }
  return AddName(names, GEN_IPADD, absl::string_view(reinterpret_cast<const char*>(bytes), size));
}

absl::StatusOr<Names> SubjectNames(const std::vector<std::string>& dns_names,
                                   const std::vector<std::string>& ip_addresses) {
  const size_t count = dns_names.size() + ip_addresses.size();
  if (count == 0 || count > kCertificateNamesMax) {
    return absl::InvalidArgumentError(absl::StrCat("a server certificate has 1 to ",
                                                   kCertificateNamesMax, " names, not ", count));
  }
  Names names(GENERAL_NAMES_new());
  if (names == nullptr) return Internal("no memory for a certificate's names");
  for (const std::string& name : dns_names) {
    if (!IsDnsName(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", absl::CHexEscape(name), "\" is not a DNS name"));
    }
    BERTH_RETURN_IF_ERROR(AddName(names.get(), GEN_DNS, name));
  }
  for (const std::string& address : ip_addresses) {
    BERTH_RETURN_IF_ERROR(AddIpAddress(names.get(), address));
  }
  return names;
}

}  // namespace

absl::StatusOr<CertificateAuthority> CertificateAuthority::Generate() {
  SigningKey key = SigningKey::Generate();
  BERTH_ASSIGN_OR_RETURN(const Key openssl_key, PrivateKey(key.seed()));
  BERTH_ASSIGN_OR_RETURN(const Certificate certificate,
                         NewCertificate(openssl_key.get(), kAuthorityName, kAuthorityName));
  X509* x509 = certificate.get();
  if (X509_time_adj_ex(X509_getm_notAfter(x509), kAuthorityDays, 0, nullptr) == nullptr) {
    return Internal("cannot date a certificate");
  }
  BERTH_RETURN_IF_ERROR(
      AddExtension(x509, x509, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  BERTH_RETURN_IF_ERROR(AddExtension(x509, x509, NID_key_usage, "critical,keyCertSign,cRLSign"));
  BERTH_RETURN_IF_ERROR(AddExtension(x509, x509, NID_subject_key_identifier, "hash"));
  BERTH_ASSIGN_OR_RETURN(std::string pem, SignedPem(x509, openssl_key.get()));
  return CertificateAuthority(std::move(key), std::move(pem));
}

absl::StatusOr<CertificateAuthority> CertificateAuthority::LoadFrom(
    const SecretBytes& seed, absl::string_view certificate_pem) {
  BERTH_ASSIGN_OR_RETURN(SigningKey key, SigningKey::FromSeed(seed.view()));
  BERTH_ASSIGN_OR_RETURN(const Certificate certificate, Parse(certificate_pem));
  BERTH_ASSIGN_OR_RETURN(const std::string certified, RawPublicKey(certificate.get()));
  if (certified != key.public_key()) return Invalid("the certificate is of another key");
  if (X509_check_ca(certificate.get()) != 1) return Invalid("the certificate is no authority's");
  return CertificateAuthority(std::move(key), std::string(certificate_pem));
}

absl::StatusOr<std::string> CertificateAuthority::IssueServerCertificate(
    absl::string_view public_key, const std::vector<std::string>& dns_names,
    const std::vector<std::string>& ip_addresses) const {
  BERTH_ASSIGN_OR_RETURN(const Names names, SubjectNames(dns_names, ip_addresses));
  BERTH_ASSIGN_OR_RETURN(const Certificate authority, Parse(certificate_pem_));
  BERTH_ASSIGN_OR_RETURN(const Key authority_key, PrivateKey(key_.seed()));
  BERTH_ASSIGN_OR_RETURN(const Key server_key, PublicKey(public_key));
  BERTH_ASSIGN_OR_RETURN(const Certificate certificate,
                         NewCertificate(server_key.get(), kServerName, kAuthorityName));
  X509* x509 = certificate.get();
  if (X509_set1_notAfter(x509, X509_get0_notAfter(authority.get())) != 1) {
    return Internal("cannot date a certificate");
  }
  BERTH_RETURN_IF_ERROR(
      AddExtension(x509, authority.get(), NID_basic_constraints, "critical,CA:FALSE"));
  BERTH_RETURN_IF_ERROR(
      AddExtension(x509, authority.get(), NID_key_usage, "critical,digitalSignature"));
  BERTH_RETURN_IF_ERROR(AddExtension(x509, authority.get(), NID_ext_key_usage, "serverAuth"));
  BERTH_RETURN_IF_ERROR(AddExtension(x509, authority.get(), NID_authority_key_identifier, "keyid"));
  if (X509_add1_ext_i2d(x509, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1) {
    return Internal("cannot add names to a certificate");
  }
  return SignedPem(x509, authority_key.get());
}

absl::StatusOr<std::string> SelfSigned(const SigningKey& key, absl::string_view common_name) {
  if (common_name.empty() || common_name.size() > kCommonNameSizeMax) {
    return absl::InvalidArgumentError(absl::StrCat("a certificate's name has 1 to ",
                                                   kCommonNameSizeMax, " characters, not ",
                                                   common_name.size()));
  }
  BERTH_ASSIGN_OR_RETURN(const Key openssl_key, PrivateKey(key.seed()));
  BERTH_ASSIGN_OR_RETURN(const Certificate certificate,
                         NewCertificate(openssl_key.get(), common_name, common_name));
  X509* x509 = certificate.get();
  if (ASN1_TIME_set_string_X509(X509_getm_notAfter(x509), kNoEnd) != 1) {
    return Internal("cannot date a certificate");
  }
  BERTH_RETURN_IF_ERROR(AddExtension(x509, x509, NID_basic_constraints, "critical,CA:FALSE"));
  return SignedPem(x509, openssl_key.get());
}

absl::StatusOr<std::string> PrivateKeyPem(const SigningKey& key) {
  BERTH_ASSIGN_OR_RETURN(const Key openssl_key, PrivateKey(key.seed()));
  // Of secure memory, which is wiped when it is freed.
  const Bio bio(BIO_new(BIO_s_secmem()));
  if (bio == nullptr || PEM_write_bio_PKCS8PrivateKey(bio.get(), openssl_key.get(), nullptr,
                                                      nullptr, 0, nullptr, nullptr) != 1) {
    return Internal("cannot write a private key");
  }
  return Contents(bio.get());
}

absl::StatusOr<std::string> PublicKeyOfCertificate(absl::string_view pem) {
  BERTH_ASSIGN_OR_RETURN(const Certificate certificate, Parse(pem));
  return RawPublicKey(certificate.get());
}

absl::StatusOr<std::string> Fingerprint(absl::string_view pem) {
  BERTH_ASSIGN_OR_RETURN(const Certificate certificate, Parse(pem));
  unsigned char digest[SHA256_DIGEST_LENGTH];
  unsigned int size = sizeof(digest);
  if (X509_digest(certificate.get(), EVP_sha256(), digest, &size) != 1) {
    return Internal("cannot hash a certificate");
  }
  return HexEncode(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

}  // namespace berth
