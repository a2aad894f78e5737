#include "common/rpc/membership.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/files/atomic_file.h"
#include "common/log/log.h"
#include "common/rpc/shown_ca.h"
#include "common/rpc/token.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"

namespace berth::rpc {
namespace {

constexpr char kMemberFile[] = "member";
constexpr size_t kMemberSizeMax = 64 << 10;
constexpr size_t kJoinTokenSizeMax = 1 << 10;
constexpr mode_t kPrivate = 0600;
constexpr absl::Duration kJoinRetryDelay = absl::Seconds(2);

}  // namespace

absl::StatusOr<auth::v1::EnrolResponse> LoadMembership(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kMemberFile);
  BERTH_ASSIGN_OR_RETURN(const std::string stored, ReadFile(path, kMemberSizeMax));
  auth::v1::EnrolResponse member;
  if (!member.ParseFromString(stored)) {
    return absl::DataLossError(
        absl::StrCat(path, " cannot be read; remove it and join again with a new join token"));
  }
  return member;
}

absl::StatusOr<auth::v1::EnrolResponse> LoadOrJoinPatiently(
    const MachineIdentity& identity, const JoinOptions& options,
    const std::function<bool(absl::Duration)>& wait) {
  while (true) {
    absl::StatusOr<auth::v1::EnrolResponse> member = LoadOrJoin(identity, options);
    if (member.ok() ||
        !(absl::IsUnavailable(member.status()) || absl::IsDeadlineExceeded(member.status()))) {
      return member;
    }
    LogWarning("joining is tried again", {{"why", member.status().message()}});
    if (wait(kJoinRetryDelay)) return absl::CancelledError("stopped while joining");
  }
}

absl::StatusOr<auth::v1::EnrolResponse> LoadOrJoin(const MachineIdentity& identity,
                                                   const JoinOptions& options) {
  absl::StatusOr<auth::v1::EnrolResponse> stored = LoadMembership(options.folder);
  if (!absl::IsNotFound(stored.status())) return stored;
  const absl::StatusOr<std::string> token = ReadFile(options.join_token_file, kJoinTokenSizeMax);
  if (!token.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this machine is not a member yet and has no join token: ", token.status().message()));
  }
  auth::v1::EnrolRequest request;
  request.set_join_token(std::string(absl::StripAsciiWhitespace(*token)));
  std::string ca_pem = options.ca_pem;
  if (ca_pem.empty()) {
    const auto parts = ParseOneTimeToken(kJoinPurpose, request.join_token());
    if (!parts.has_value()) {
      return absl::FailedPreconditionError(
          absl::StrCat(options.join_token_file, " holds no join token"));
    }
    BERTH_ASSIGN_OR_RETURN(ca_pem, ShownCa(options.auth_address, parts->ca_fingerprint));
  }
  const PublicKeys& keys = identity.public_keys();
  request.mutable_keys()->set_identity(keys.identity);
  request.mutable_keys()->set_wireguard(keys.wireguard);
  request.mutable_keys()->set_sealing(keys.sealing);
  request.mutable_keys()->set_wireguard_signature(keys.wireguard_signature);
  request.mutable_keys()->set_sealing_signature(keys.sealing_signature);
  *request.mutable_addresses() = {options.addresses.begin(), options.addresses.end()};
  BERTH_ASSIGN_OR_RETURN(const ChannelOptions channel,
                         MachineChannel(identity, "joining", options.auth_address, ca_pem));
  absl::StatusOr<auth::v1::EnrolResponse> answer =
      Channel::Open(channel)->Call<auth::v1::EnrolResponse>(request);
  if (!answer.ok()) return Annotate(answer.status(), "joining the platform");
  BERTH_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(options.folder, "/", kMemberFile),
                                            answer->SerializeAsString(), kPrivate));
  return answer;
}

absl::StatusOr<ChannelOptions> MachineChannel(const MachineIdentity& identity,
                                              const std::string& principal,
                                              const std::string& address,
                                              const std::string& ca_pem) {
  ChannelOptions options;
  options.address = address;
  options.ca_pem = ca_pem;
  BERTH_ASSIGN_OR_RETURN(options.certificate_pem, identity.CertificatePem(principal));
  BERTH_ASSIGN_OR_RETURN(options.private_key_pem, identity.PrivateKeyPem());
  return options;
}

}  // namespace berth::rpc
