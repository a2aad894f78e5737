#include "common/rpc/gate.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/roles.h"
#include "common/rpc/token.h"
#include "common/status/error_details.h"
#include "common/time/timestamp.h"

namespace berth::rpc {
namespace {

using auth::v1::MachineKind;
using options::v1::Permission;

absl::string_view KindName(MachineKind kind) {
  switch (kind) {
    case auth::v1::MACHINE_KIND_HOST:
      return "host";
    case auth::v1::MACHINE_KIND_EDGE:
      return "edge";
    case auth::v1::MACHINE_KIND_SERVICE:
      return "service";
    default:
      return "unknown";
  }
}

// The machine kind that alone has this permission, or unspecified.
MachineKind KindWith(Permission permission) {
  switch (permission) {
    case options::v1::PERMISSION_HOST:
      return auth::v1::MACHINE_KIND_HOST;
    case options::v1::PERMISSION_EDGE:
      return auth::v1::MACHINE_KIND_EDGE;
    case options::v1::PERMISSION_SERVICE:
      return auth::v1::MACHINE_KIND_SERVICE;
    default:
      return auth::v1::MACHINE_KIND_UNSPECIFIED;
  }
}

absl::Status Unauthenticated(absl::string_view why) {
  return WithReason(absl::UnauthenticatedError(absl::StrCat(why, "; run: berth login")),
                    reason::kTokenInvalid);
}

absl::Status Denied(const Caller& caller, const Method& method, absl::string_view needs) {
  return absl::PermissionDeniedError(absl::StrCat(caller.principal, " may not call ",
                                                  method.descriptor->name(), ": it needs ", needs));
}

// Leaves the person at most this role in each org.
void Narrow(auth::v1::Principal* person, auth::v1::Role role) {
  person->set_platform_admin(false);
  for (auth::v1::RoleBinding& binding : *person->mutable_bindings()) {
    binding.set_role(std::min(binding.role(), role));
  }
}

}  // namespace

absl::StatusOr<Caller> Gate::Identify(const Credentials& credentials, absl::Time now) const {
  if (!view_->ready()) {
    return WithRetryDelay(
        WithReason(absl::UnavailableError(
                       "who may call is not known yet: the service is waiting for berth-auth"),
                   reason::kNotReady),
        absl::Milliseconds(200));
  }
  Caller caller;
  caller.identity_key = credentials.identity_key;
  if (!credentials.token.empty()) {
    const std::optional<TokenParts> parts = ParseToken(credentials.token);
    if (!parts.has_value()) return Unauthenticated("the token is malformed");
    const auto token = view_->FindToken(absl::BytesToHexString(parts->hash));
    if (!token.has_value()) return Unauthenticated("the token is not known, or was revoked");
    if (now >= FromTimestamp(token->expire_time())) {
      return Unauthenticated("the token has expired");
    }
    caller.person = view_->FindPrincipal(token->principal());
    if (!caller.person.has_value()) return Unauthenticated("the token's owner is gone");
    if (token->role() != auth::v1::ROLE_UNSPECIFIED) Narrow(&*caller.person, token->role());
    caller.principal = token->principal();
    caller.token_hash = parts->hash;
  } else if (!credentials.identity_key.empty()) {
    caller.machine = view_->FindMachine(credentials.identity_key);
    if (caller.machine.has_value()) {
      caller.principal =
          absl::StrCat(KindName(caller.machine->kind()), "/", caller.machine->name());
    }
  }
  return caller;
}

absl::Status Gate::Permit(const Caller& caller, const Method& method,
                          const google::protobuf::Message& request) const {
  if (method.permission == options::v1::PERMISSION_PUBLIC) return absl::OkStatus();
  if (caller.principal.empty()) {
    if (!caller.identity_key.empty()) {
      return WithReason(absl::UnauthenticatedError(
                            "this machine's key is not a member's: it was removed, or never "
                            "joined; give it a join token"),
                        reason::kTokenInvalid);
    }
    return Unauthenticated("the call carries no token");
  }
  if (caller.machine.has_value() && caller.machine->status() != auth::v1::MACHINE_STATUS_ACTIVE) {
    return WithReason(
        absl::PermissionDeniedError(absl::StrCat(
            caller.principal, " has changed its keys; a person must approve them first")),
        reason::kKeyChanged);
  }
  if (method.permission == options::v1::PERMISSION_AUTHENTICATED) return absl::OkStatus();
  if (const MachineKind kind = KindWith(method.permission);
      kind != auth::v1::MACHINE_KIND_UNSPECIFIED) {
    if (caller.machine.has_value() && caller.machine->kind() == kind) return absl::OkStatus();
    return Denied(caller, method, absl::StrCat("to be a ", KindName(kind)));
  }
  if (!caller.person.has_value()) return Denied(caller, method, "to be a person");
  if (caller.person->platform_admin()) return absl::OkStatus();
  if (method.permission == options::v1::PERMISSION_PLATFORM_ADMIN) {
    return Denied(caller, method, "the platform's administrator");
  }
  const std::string org = OrgOf(method, request);
  for (const auth::v1::RoleBinding& binding : caller.person->bindings()) {
    if (binding.org() == org && RoleHas(binding.role(), method.permission)) {
      return absl::OkStatus();
    }
  }
  return Denied(caller, method, absl::StrCat("a role in org ", org, " that allows it"));
}

}  // namespace berth::rpc
