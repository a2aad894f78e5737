#include "cli/sign_in.h"

#include "absl/strings/ascii.h"
#include "berth/auth/v1/auth.pb.h"
#include "cli/connect.h"
#include "common/files/atomic_file.h"
#include "common/rpc/token.h"
#include "common/status/status_macros.h"

namespace berth::cli {
namespace {

constexpr size_t kCaBytesMax = 64 * 1024;
// Asked again by whoever waits for a server that is only just starting.
constexpr absl::Duration kDeadline = absl::Seconds(5);

rpc::CallOptions WithDeadline() {
  rpc::CallOptions options;
  options.deadline = kDeadline;
  return options;
}

}  // namespace

absl::StatusOr<SignedIn> SignIn(const std::string& server, const std::string& ca_pem,
                                absl::string_view token) {
  auth::v1::LoginRequest request;
  const std::string proof(absl::StripAsciiWhitespace(token));
  if (rpc::ParseOneTimeToken(rpc::kLoginPurpose, proof).has_value()) {
    request.set_login_token(proof);
  } else {
    request.set_bootstrap_token(proof);
  }
  BERTH_ASSIGN_OR_RETURN(
      const auto response,
      Connect(server, ca_pem, "")->Call<auth::v1::LoginResponse>(request, WithDeadline()));
  return SignedIn{response.principal(), response.token()};
}

absl::StatusOr<std::string> FirstOrgOf(const std::string& server, const std::string& ca_pem,
                                       const std::string& token) {
  BERTH_ASSIGN_OR_RETURN(const auto response, Connect(server, ca_pem, token)
                                                  ->Call<auth::v1::WhoAmIResponse>(
                                                      auth::v1::WhoAmIRequest(), WithDeadline()));
  return response.bindings().empty() ? "" : response.bindings(0).org();
}

absl::StatusOr<std::string> PrincipalOf(const std::string& server, const std::string& ca_pem,
                                        const std::string& token) {
  BERTH_ASSIGN_OR_RETURN(const auto response, Connect(server, ca_pem, token)
                                                  ->Call<auth::v1::WhoAmIResponse>(
                                                      auth::v1::WhoAmIRequest(), WithDeadline()));
  return response.principal();
}

absl::StatusOr<std::string> ReadCa(const std::string& path) { return ReadFile(path, kCaBytesMax); }

}  // namespace berth::cli
