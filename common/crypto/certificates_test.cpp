#include "common/crypto/certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <catch2/catch.hpp>
#include <ctime>
#include <memory>
#include <random>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/crypto/hash.h"

namespace berth {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

constexpr char kBegin[] = "-----BEGIN CERTIFICATE-----\n";
constexpr char kEnd[] = "-----END CERTIFICATE-----\n";
constexpr long kDaySeconds = 24L * 60 * 60;
constexpr long kYearSeconds = 365 * kDaySeconds;

Owned<X509> Read(const std::string& pem) {
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  REQUIRE(certificate != nullptr);
  return certificate;
}

CertificateAuthority NewAuthority() {
  auto authority = CertificateAuthority::Generate();
  REQUIRE(authority.ok());
  return *std::move(authority);
}

std::string ServerCertificate(const CertificateAuthority& authority) {
  const auto pem = authority.IssueServerCertificate(SigningKey::Generate().public_key(),
                                                    {"auth.example.test", "localhost"},
                                                    {"127.0.0.1", "fd00::1"});
  REQUIRE(pem.ok());
  return *pem;
}

// What OpenSSL itself says of a server certificate, `shift_seconds` from now.
int VerifyError(const std::string& server_pem, const CertificateAuthority& authority,
                long shift_seconds = 0) {
  const Owned<X509> server = Read(server_pem);
  const Owned<X509> trusted = Read(authority.certificate_pem());
  const Owned<X509_STORE> store(X509_STORE_new());
  REQUIRE(X509_STORE_add_cert(store.get(), trusted.get()) == 1);
  const Owned<X509_STORE_CTX> context(X509_STORE_CTX_new());
  REQUIRE(X509_STORE_CTX_init(context.get(), store.get(), server.get(), nullptr) == 1);
  X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
  // The certificate was dated by OpenSSL's own clock, so the shift is from that.
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> now(X509_gmtime_adj(nullptr, 0),
                                                                  ASN1_TIME_free);
  tm calendar = {};
  REQUIRE(ASN1_TIME_to_tm(now.get(), &calendar) == 1);
  X509_VERIFY_PARAM_set_time(parameters, timegm(&calendar) + shift_seconds);
  X509_verify_cert(context.get());
  return X509_STORE_CTX_get_error(context.get());
}

std::string Der(absl::string_view pem) {
  std::string der;
  std::string base64 = absl::StrReplaceAll(pem, {{kBegin, ""}, {kEnd, ""}, {"\n", ""}});
  REQUIRE(absl::Base64Unescape(base64, &der));
  return der;
}

std::string Pem(absl::string_view der) {
  const std::string base64 = absl::Base64Escape(der);
  std::string pem = kBegin;
  for (size_t i = 0; i < base64.size(); i += 64) {
    absl::StrAppend(&pem, base64.substr(i, 64), "\n");
  }
  return pem + kEnd;
}

TEST_CASE("OpenSSL accepts a server certificate of the authority for its names",
          "[crypto][certificates]") {
  const CertificateAuthority authority = NewAuthority();
  const std::string pem = ServerCertificate(authority);
  CHECK(VerifyError(pem, authority) == X509_V_OK);
  const Owned<X509> server = Read(pem);
  CHECK(X509_check_host(server.get(), "auth.example.test", 0, 0, nullptr) == 1);
  CHECK(X509_check_host(server.get(), "localhost", 0, 0, nullptr) == 1);
  CHECK(X509_check_ip_asc(server.get(), "127.0.0.1", 0) == 1);
  CHECK(X509_check_ip_asc(server.get(), "fd00::1", 0) == 1);

  CHECK(X509_check_host(server.get(), "example.test", 0, 0, nullptr) == 0);
  CHECK(X509_check_host(server.get(), "secrets.example.test", 0, 0, nullptr) == 0);
  CHECK(X509_check_ip_asc(server.get(), "127.0.0.2", 0) == 0);
}

TEST_CASE("OpenSSL refuses a server certificate of another authority", "[crypto][certificates]") {
  const CertificateAuthority authority = NewAuthority();
  // Its name is the same, as that of every Berth platform is.
  CHECK(VerifyError(ServerCertificate(NewAuthority()), authority) != X509_V_OK);
}

TEST_CASE("certificates are valid a day ago and for twenty years", "[crypto][certificates]") {
  const CertificateAuthority authority = NewAuthority();
  const std::string pem = ServerCertificate(authority);
  CHECK(VerifyError(pem, authority, -kDaySeconds + 600) == X509_V_OK);
  CHECK(VerifyError(pem, authority, -kDaySeconds - 600) == X509_V_ERR_CERT_NOT_YET_VALID);
  CHECK(VerifyError(pem, authority, 20 * kYearSeconds - 600) == X509_V_OK);
  CHECK(VerifyError(pem, authority, 20 * kYearSeconds + 600) == X509_V_ERR_CERT_HAS_EXPIRED);
}

TEST_CASE("a server certificate cannot sign another", "[crypto][certificates]") {
  const CertificateAuthority authority = NewAuthority();
  const Owned<X509> server = Read(ServerCertificate(authority));
  CHECK(X509_check_ca(server.get()) == 0);
  CHECK(X509_check_ca(Read(authority.certificate_pem()).get()) == 1);
  CHECK(X509_get_pathlen(Read(authority.certificate_pem()).get()) == 0);
}

TEST_CASE("serial numbers differ", "[crypto][certificates]") {
  const CertificateAuthority authority = NewAuthority();
  const Owned<X509> first = Read(ServerCertificate(authority));
  const Owned<X509> second = Read(ServerCertificate(authority));
  CHECK(ASN1_INTEGER_cmp(X509_get0_serialNumber(first.get()),
                         X509_get0_serialNumber(second.get())) != 0);
}

TEST_CASE("a stored authority signs as before", "[crypto][certificates]") {
  const CertificateAuthority authority = NewAuthority();
  const auto loaded = CertificateAuthority::LoadFrom(authority.seed(), authority.certificate_pem());
  REQUIRE(loaded.ok());
  CHECK(VerifyError(ServerCertificate(*loaded), authority) == X509_V_OK);
}

TEST_CASE("what does not belong together is no authority", "[crypto][certificates]") {
  const CertificateAuthority authority = NewAuthority();
  const SigningKey key = SigningKey::Generate();
  const auto refused = [](const SecretBytes& seed, const std::string& pem) {
    return CertificateAuthority::LoadFrom(seed, pem).status().code() ==
           absl::StatusCode::kInvalidArgument;
  };
  CHECK(refused(key.seed(), authority.certificate_pem()));
  CHECK(refused(SecretBytes(5), authority.certificate_pem()));
  CHECK(refused(authority.seed(), "no certificate"));
  CHECK(refused(key.seed(), *SelfSigned(key, "host-a")));
}

TEST_CASE("names that no server has are refused and quoted", "[crypto][certificates]") {
  const CertificateAuthority authority = NewAuthority();
  const std::string key = SigningKey::Generate().public_key();
  for (const std::string& name :
       {std::string(""), std::string("a..b"), std::string("a b"), std::string("-a"),
        std::string("*.example.test"), std::string("a\0b", 3), std::string(64, 'a'),
        std::string("a.\xc3\xa4")}) {
    const auto refused = authority.IssueServerCertificate(key, {name}, {});
    CHECK(refused.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK_THAT(std::string(refused.status().message()),
               Catch::Contains(absl::StrCat("\"", absl::CHexEscape(name), "\"")));
  }
  for (const std::string& address :
       {std::string("localhost"), std::string("1.2.3"), std::string("127.0.0.1\0x", 11)}) {
    CHECK_FALSE(authority.IssueServerCertificate(key, {}, {address}).ok());
  }
  CHECK_FALSE(authority.IssueServerCertificate(key, {}, {}).ok());
  const std::vector<std::string> many(kCertificateNamesMax, "localhost");
  CHECK(authority.IssueServerCertificate(key, many, {}).ok());
  CHECK_FALSE(authority.IssueServerCertificate(key, many, {"::1"}).ok());
  CHECK_FALSE(authority.IssueServerCertificate("short", {"localhost"}, {}).ok());
}

TEST_CASE("a self-signed certificate is signed by its own key and has no end",
          "[crypto][certificates]") {
  const SigningKey key = SigningKey::Generate();
  const auto pem = SelfSigned(key, "host-a");
  REQUIRE(pem.ok());
  const Owned<X509> certificate = Read(*pem);
  CHECK(X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())) == 1);
  tm end = {};
  REQUIRE(ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) == 1);
  CHECK(end.tm_year + 1900 == 9999);
  CHECK_FALSE(SelfSigned(key, "").ok());
  CHECK_FALSE(SelfSigned(key, std::string(65, 'a')).ok());
}

TEST_CASE("a private key in PEM is the key of the certificate", "[crypto][certificates]") {
  const SigningKey key = SigningKey::Generate();
  const auto pem = PrivateKeyPem(key);
  REQUIRE(pem.ok());
  const Owned<BIO> bio(BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size())));
  const Owned<EVP_PKEY> read(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  REQUIRE(read != nullptr);
  const Owned<X509> certificate = Read(*SelfSigned(key, "host-a"));
  CHECK(X509_check_private_key(certificate.get(), read.get()) == 1);
}

TEST_CASE("the key of a certificate is found", "[crypto][certificates]") {
  const SigningKey key = SigningKey::Generate();
  CHECK(*PublicKeyOfCertificate(*SelfSigned(key, "host-a")) == key.public_key());
  const CertificateAuthority authority = NewAuthority();
  CHECK(*PublicKeyOfCertificate(*authority.IssueServerCertificate(key.public_key(), {"localhost"},
                                                                  {})) == key.public_key());
}

TEST_CASE("a certificate of another kind of key is refused", "[crypto][certificates]") {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  REQUIRE(key != nullptr);
  const Owned<X509> certificate(X509_new());
  REQUIRE(X509_set_pubkey(certificate.get(), key.get()) == 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kDaySeconds);
  REQUIRE(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  REQUIRE(PEM_write_bio_X509(bio.get(), certificate.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  const auto refused = PublicKeyOfCertificate(absl::string_view(data, static_cast<size_t>(size)));
  REQUIRE(refused.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(refused.status().message()), Catch::Contains("not an Ed25519 key"));
}

TEST_CASE("what is no certificate is refused", "[crypto][certificates]") {
  const SigningKey key = SigningKey::Generate();
  const std::string pem = *SelfSigned(key, "host-a");
  for (const std::string& text :
       {std::string(), std::string("x"), std::string(kBegin), std::string(kBegin) + kEnd,
        *PrivateKeyPem(key), std::string(kCertificatePemSizeMax, '\n') + pem}) {
    CHECK(PublicKeyOfCertificate(text).status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(Fingerprint(text).status().code() == absl::StatusCode::kInvalidArgument);
  }
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a mutated certificate gives a key or an error and leaves OpenSSL clean",
          "[crypto][certificates]") {
  const SigningKey key = SigningKey::Generate();
  const std::string der = Der(*SelfSigned(key, "host-a"));
  REQUIRE(*PublicKeyOfCertificate(Pem(der)) == key.public_key());
  std::minstd_rand random(20260131);
  constexpr int kMutations = 4000;
  int refused = 0;
  int accepted = 0;
  for (int i = 0; i < kMutations; ++i) {
    std::string mutated = der;
    const size_t changes = 1 + random() % 4;
    for (size_t change = 0; change < changes; ++change) {
      const size_t where = random() % mutated.size();
      switch (random() % 4) {
        case 0:
          mutated[where] = static_cast<char>(random());
          break;
        case 1:
          mutated[where] = static_cast<char>(mutated[where] ^ (1 << random() % 8));
          break;
        case 2:
          mutated.erase(where, 1 + random() % 8);
          break;
        default:
          mutated.insert(where, 1 + random() % 8, static_cast<char>(random()));
          break;
      }
      if (mutated.empty()) mutated = "\x30";
    }
    std::string pem = Pem(mutated);
    // One in four is damaged as text as well.
    if (i % 4 == 0) pem[random() % pem.size()] = static_cast<char>(random());
    const auto found = PublicKeyOfCertificate(pem);
    if (found.ok()) {
      ++accepted;
      REQUIRE(found->size() == kVerifyingKeySize);
    } else {
      ++refused;
      REQUIRE(found.status().code() == absl::StatusCode::kInvalidArgument);
    }
    REQUIRE(ERR_peek_error() == 0);
  }
  CHECK(refused > kMutations / 4);
  CHECK(accepted > 0);
}

TEST_CASE("a fingerprint is the SHA-256 of the DER form", "[crypto][certificates]") {
  const std::string pem = *SelfSigned(SigningKey::Generate(), "host-a");
  const std::string der = Der(pem);
  unsigned char digest[32];
  unsigned int size = 0;
  REQUIRE(EVP_Digest(der.data(), der.size(), digest, &size, EVP_sha256(), nullptr) == 1);
  CHECK(*Fingerprint(pem) ==
        HexEncode(absl::string_view(reinterpret_cast<const char*>(digest), size)));
  CHECK(*Fingerprint(*SelfSigned(SigningKey::Generate(), "host-a")) != *Fingerprint(pem));
}

}  // namespace
}  // namespace berth
