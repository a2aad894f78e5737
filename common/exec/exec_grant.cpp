#include "common/exec/exec_grant.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

// Keeps a signature made for anything else from counting here.
std::string Purpose() { return std::string("berth exec grant v1") + '\0'; }

}  // namespace

scheduler::v1::SignedExecGrant SignExecGrant(const scheduler::v1::ExecGrant& grant,
                                             const SigningKey& key) {
  scheduler::v1::SignedExecGrant signed_grant;
  signed_grant.set_grant(grant.SerializeAsString());
  signed_grant.set_signed_by(key.public_key());
  signed_grant.set_signature(key.Sign(absl::StrCat(Purpose(), signed_grant.grant())));
  return signed_grant;
}

absl::StatusOr<scheduler::v1::ExecGrant> VerifyExecGrant(
    const scheduler::v1::SignedExecGrant& signed_grant, absl::string_view scheduler_key) {
  if (signed_grant.signed_by() != scheduler_key ||
      !VerifySignature(scheduler_key, absl::StrCat(Purpose(), signed_grant.grant()),
                       signed_grant.signature())) {
    return absl::PermissionDeniedError("the grant was not signed by the platform's scheduler");
  }
  scheduler::v1::ExecGrant grant;
  if (!grant.ParseFromString(signed_grant.grant())) {
    return absl::InvalidArgumentError("the grant cannot be read");
  }
  if (grant.host().empty() || grant.instance().empty() || grant.command().empty() ||
      grant.id().empty()) {
    return absl::InvalidArgumentError(
        "the grant does not name a host, an instance, a command and itself");
  }
  return grant;
}

}  // namespace berth
