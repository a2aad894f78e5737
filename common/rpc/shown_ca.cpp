#include "common/rpc/shown_ca.h"

#include <netdb.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/crypto/certificates.h"
#include "common/net/socket_address.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"

namespace berth::rpc {
namespace {

constexpr unsigned char kHttp2[] = {2, 'h', '2'};  // As ALPN writes it (RFC 7301).

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* tls) const { SSL_free(tls); }
  void operator()(BIO* text) const { BIO_free(text); }
};

absl::Status CannotReach(const std::string& address, absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("cannot reach the server ", address, ": ", why));
}

absl::StatusOr<UniqueFd> Connect(const std::string& address) {
  BERTH_ASSIGN_OR_RETURN(const HostPort to, ParseHostPort(address));
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(to.host.c_str(), absl::StrCat(to.port).c_str(), &hints, &found);
  if (error != 0) return CannotReach(address, gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, freeaddrinfo);
  absl::Status last = CannotReach(address, "it has no address");
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    UniqueFd fd(socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol));
    const timeval timeout = absl::ToTimeval(kShownCaMax);
    if (fd.get() >= 0 &&
        setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
        setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
        connect(fd.get(), one->ai_addr, one->ai_addrlen) == 0) {
      return fd;
    }
    last = CannotReach(address, absl::ErrnoToStatus(errno, "connecting").message());
  }
  return last;
}

absl::StatusOr<std::string> ToPem(X509* certificate) {
  const std::unique_ptr<BIO, Free> text(BIO_new(BIO_s_mem()));
  char* bytes = nullptr;
  if (text == nullptr || PEM_write_bio_X509(text.get(), certificate) != 1) {
    return absl::InternalError("a certificate cannot be written as PEM");
  }
  const long size = BIO_get_mem_data(text.get(), &bytes);
  return std::string(bytes, static_cast<size_t>(size));
}

absl::StatusOr<std::string> ShownBy(const std::string& address, absl::string_view fingerprint) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd fd, Connect(address));
  const std::unique_ptr<SSL_CTX, Free> context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return absl::InternalError("TLS is not available");
  // The fingerprint is the only thing that decides: see below.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_alpn_protos(context.get(), kHttp2, sizeof(kHttp2));
  const std::unique_ptr<SSL, Free> tls(SSL_new(context.get()));
  if (tls == nullptr || SSL_set_fd(tls.get(), fd.get()) != 1) {
    return absl::InternalError("TLS is not available");
  }
  if (SSL_connect(tls.get()) != 1) return CannotReach(address, "it does not speak TLS 1.3");
  const STACK_OF(X509)* const shown = SSL_get_peer_cert_chain(tls.get());
  for (int i = 0; i < sk_X509_num(shown); ++i) {
    BERTH_ASSIGN_OR_RETURN(std::string pem, ToPem(sk_X509_value(shown, i)));
    const absl::StatusOr<std::string> its = Fingerprint(pem);
    if (its.ok() && *its == fingerprint) return pem;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the server ", address, " is not the one that made the token: it shows another CA"));
}

}  // namespace

absl::StatusOr<std::string> ShownCa(const std::string& server, absl::string_view fingerprint) {
  absl::StatusOr<std::string> shown;
  // Copies that stand by show it as well as the one that leads.
  for (const absl::string_view address : absl::StrSplit(server, ',')) {
    shown = ShownBy(std::string(address), fingerprint);
    if (!absl::IsUnavailable(shown.status())) break;
  }
  return shown;
}

}  // namespace berth::rpc
