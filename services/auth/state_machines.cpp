// Machines: how they join, change their keys, and go.

#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/crypto/machine_identity.h"
#include "common/crypto/signature.h"
#include "common/ids/names.h"
#include "common/net/socket_address.h"
#include "common/rpc/token.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"
#include "services/auth/state.h"

namespace berth::auth {
namespace {

bool SameKeys(const v1::MachineKeys& left, const v1::MachineKeys& right) {
  return std::tie(left.identity(), left.wireguard(), left.sealing()) ==
         std::tie(right.identity(), right.wireguard(), right.sealing());
}

absl::Status JoinTokenRefused(absl::string_view why, absl::string_view reason) {
  return WithReason(
      absl::PermissionDeniedError(absl::StrCat(
          "the join token ", why, "; ask an administrator of the org for another one")),
      reason);
}

absl::Status JoinTokenInvalid(absl::string_view why) {
  return JoinTokenRefused(why, reason::kTokenInvalid);
}

// Of a token that auth made: somebody had it, and shows keys that are not the member's.
absl::Status KeysRefused(absl::string_view why) {
  return JoinTokenRefused(why, reason::kKeyChanged);
}

}  // namespace

Decided<v1::Event, v1::CreateJoinTokenResponse> State::Decide(
    const v1::CreateJoinTokenRequest& request, const std::string& token_hash,
    const DecisionContext& context) const {
  if (request.kind() != v1::MACHINE_KIND_HOST && request.kind() != v1::MACHINE_KIND_EDGE) {
    return absl::InvalidArgumentError("a join token is for a host or an edge");
  }
  BERTH_RETURN_IF_ERROR(CheckName(KindName(request.kind()), request.name()));
  if (!HasOrg(request.org())) {
    return absl::NotFoundError(absl::StrCat("there is no org ", request.org()));
  }
  if (request.new_keys()) {
    BERTH_RETURN_IF_ERROR(FindMachineOf(request.org(), request.kind(), request.name()).status());
  } else if (FindMachine(request.kind(), request.name()) != nullptr) {
    return absl::AlreadyExistsError(absl::StrCat("a ", KindName(request.kind()), " named ",
                                                 request.name(), " is a member already"));
  }
  if (join_tokens_.size() >= kJoinTokensMax) {
    return absl::ResourceExhaustedError(absl::StrCat(
        kJoinTokensMax, " join tokens were made in a day, and that is the most; try again later"));
  }
  Decision<Event, v1::CreateJoinTokenResponse> decision;
  v1::JoinTokenCreated* created = decision.events.emplace_back().mutable_join_token_created();
  created->set_token_hash(token_hash);
  created->set_kind(request.kind());
  created->set_name(request.name());
  created->set_org(request.org());
  created->set_new_keys(request.new_keys());
  *created->mutable_expire_time() = ToTimestamp(context.now + kJoinTokenDuration);
  *decision.response.mutable_expire_time() = created->expire_time();
  return decision;
}

Decided<v1::Event, v1::CreateJoinTokenResponse> State::CreateServiceJoinToken(
    const std::string& name, const std::string& token_hash, const DecisionContext& context) const {
  Decision<Event, v1::CreateJoinTokenResponse> decision;
  if (FindMachine(v1::MACHINE_KIND_SERVICE, name) != nullptr) return decision;
  v1::JoinTokenCreated* created = decision.events.emplace_back().mutable_join_token_created();
  created->set_token_hash(token_hash);
  created->set_kind(v1::MACHINE_KIND_SERVICE);
  created->set_name(name);
  *created->mutable_expire_time() = ToTimestamp(context.now + kJoinTokenDuration);
  *decision.response.mutable_expire_time() = created->expire_time();
  return decision;
}

Decided<v1::Event, v1::EnrolResponse> State::Decide(const v1::EnrolRequest& request,
                                                    const std::string& tls_key,
                                                    const DecisionContext& context) const {
  if (tls_key.empty() || tls_key != request.keys().identity()) {
    return absl::InvalidArgumentError(
        "a machine enrols over TLS with its own identity key, and this call does not");
  }
  PublicKeys keys;
  keys.identity = request.keys().identity();
  keys.wireguard = request.keys().wireguard();
  keys.sealing = request.keys().sealing();
  keys.wireguard_signature = request.keys().wireguard_signature();
  keys.sealing_signature = request.keys().sealing_signature();
  BERTH_RETURN_IF_ERROR(VerifyPublicKeys(keys));
  if (!request.previous_identity().empty()) return ChangeSignedKeys(request);
  const auto parts = rpc::ParseOneTimeToken(rpc::kJoinPurpose, request.join_token());
  if (!parts.has_value()) return JoinTokenInvalid("is malformed");
  const auto found = join_tokens_.find(parts->hash);
  if (found == join_tokens_.end()) return JoinTokenInvalid("is not known");
  return Join(found->second, request, context.now);
}

Decided<v1::Event, v1::EnrolResponse> State::Join(const JoinToken& token,
                                                  const v1::EnrolRequest& request,
                                                  absl::Time now) const {
  const v1::Machine* const member = FindMachine(token.created.kind(), token.created.name());
  Decision<Event, v1::EnrolResponse> decision;
  if (member != nullptr && SameKeys(member->keys(), request.keys()) &&
      (token.used_by.has_value() || token.created.new_keys())) {
    // A machine that lost the answer asks again.
    *decision.response.mutable_machine() = *member;
    return decision;
  }
  if (token.used_by.has_value()) return KeysRefused("was used already");
  if (IsPast(token.created.expire_time(), now)) return JoinTokenInvalid("has expired");
  if (machines_by_key_.contains(request.keys().identity())) {
    return absl::AlreadyExistsError("this machine's key is another member's already");
  }
  if (token.created.new_keys()) {
    if (member == nullptr) return KeysRefused("is for a member that was removed meanwhile");
    return ChangeKeys(*member, request.keys(), token.created.token_hash());
  }
  if (member != nullptr) return KeysRefused("is for a name that has joined meanwhile");
  v1::MachineEnrolled* enrolled = decision.events.emplace_back().mutable_machine_enrolled();
  enrolled->set_join_token_hash(token.created.token_hash());
  v1::Machine* machine = enrolled->mutable_machine();
  machine->set_kind(token.created.kind());
  machine->set_name(token.created.name());
  machine->set_org(token.created.org());
  machine->set_status(v1::MACHINE_STATUS_ACTIVE);
  *machine->mutable_keys() = request.keys();
  *machine->mutable_enrol_time() = ToTimestamp(now);
  if (machine->kind() == v1::MACHINE_KIND_HOST) {
    const uint32_t number = hosts_numbered_ + 1;
    if (number > kHostNumberMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the platform's address prefix has room for ", kHostNumberMax, " hosts"));
    }
    enrolled->set_host_number(number);
    machine->set_prefix(absl::StrCat(ula_prefix_, std::string{static_cast<char>(number >> 8),
                                                              static_cast<char>(number & 0xff)}));
  }
  *decision.response.mutable_machine() = *machine;
  return decision;
}

Decided<v1::Event, v1::EnrolResponse> State::ChangeSignedKeys(
    const v1::EnrolRequest& request) const {
  // Who says so need not be anybody yet: a member's key is no secret, and its signature is.
  if (!VerifySignature(request.previous_identity(),
                       absl::StrCat(kNewIdentityPurpose, request.keys().identity()),
                       request.previous_signature())) {
    return WithReason(
        absl::PermissionDeniedError("the new key is not signed by the key it takes the place of"),
        reason::kTokenInvalid);
  }
  if (const auto same = machines_by_key_.find(request.keys().identity());
      same != machines_by_key_.end()) {
    // A machine that lost the answer asks again.
    const v1::Machine& member = machines_.at(same->second);
    if (member.previous_identity() != request.previous_identity() ||
        !SameKeys(member.keys(), request.keys())) {
      return absl::AlreadyExistsError("this machine's key is another member's already");
    }
    Decision<Event, v1::EnrolResponse> decision;
    *decision.response.mutable_machine() = member;
    return decision;
  }
  const auto found = machines_by_key_.find(request.previous_identity());
  if (found == machines_by_key_.end() || found->second.first == v1::MACHINE_KIND_SERVICE) {
    return WithReason(
        absl::PermissionDeniedError(
            "the key that signed the new one is no host's or edge's that is a member"),
        reason::kTokenInvalid);
  }
  return ChangeKeys(machines_.at(found->second), request.keys(), "");
}

Decision<v1::Event, v1::EnrolResponse> State::ChangeKeys(const v1::Machine& member,
                                                         const v1::MachineKeys& keys,
                                                         const std::string& join_token_hash) {
  Decision<Event, v1::EnrolResponse> decision;
  v1::MachineKeysChanged* changed = decision.events.emplace_back().mutable_machine_keys_changed();
  changed->set_replaced_identity(member.keys().identity());
  changed->set_join_token_hash(join_token_hash);
  v1::Machine* machine = changed->mutable_machine();
  *machine = member;
  *machine->mutable_keys() = keys;
  machine->set_status(v1::MACHINE_STATUS_UNKNOWN);
  // What a person last trusted, through however many changes.
  if (member.status() == v1::MACHINE_STATUS_ACTIVE) {
    machine->set_previous_identity(member.keys().identity());
  }
  *decision.response.mutable_machine() = *machine;
  return decision;
}

const v1::Machine* State::FindMachine(v1::MachineKind kind, const std::string& name) const {
  const auto found = machines_.find({kind, name});
  return found == machines_.end() ? nullptr : &found->second;
}

absl::StatusOr<const v1::Machine*> State::FindMachineOf(const std::string& org,
                                                        v1::MachineKind kind,
                                                        const std::string& name) const {
  if (kind != v1::MACHINE_KIND_HOST && kind != v1::MACHINE_KIND_EDGE) {
    return absl::InvalidArgumentError("an org has hosts and edges, and no other machines");
  }
  const v1::Machine* const machine = FindMachine(kind, name);
  if (machine == nullptr || machine->org() != org) {
    return absl::NotFoundError(absl::StrCat(org, " has no ", KindName(kind), " ", name));
  }
  return machine;
}

Decided<v1::Event, v1::RemoveMachineResponse> State::Decide(
    const v1::RemoveMachineRequest& request) const {
  BERTH_ASSIGN_OR_RETURN(const v1::Machine* const machine,
                         FindMachineOf(request.org(), request.kind(), request.name()));
  Decision<Event, v1::RemoveMachineResponse> decision;
  v1::MachineRemoved* removed = decision.events.emplace_back().mutable_machine_removed();
  removed->set_kind(machine->kind());
  removed->set_name(machine->name());
  removed->set_identity(machine->keys().identity());
  return decision;
}

Decided<v1::Event, v1::ApproveMachineResponse> State::Decide(
    const v1::ApproveMachineRequest& request) const {
  BERTH_ASSIGN_OR_RETURN(const v1::Machine* const machine,
                         FindMachineOf(request.org(), request.kind(), request.name()));
  if (machine->keys().identity() != request.identity()) {
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          PrincipalOf(*machine), " claims another key; look at it again")),
                      reason::kKeyChanged);
  }
  Decision<Event, v1::ApproveMachineResponse> decision;
  if (machine->status() == v1::MACHINE_STATUS_ACTIVE) return decision;
  v1::MachineApproved* approved = decision.events.emplace_back().mutable_machine_approved();
  approved->set_kind(machine->kind());
  approved->set_name(machine->name());
  return decision;
}

std::vector<v1::Machine> State::MachinesOf(const std::string& org) const {
  std::vector<v1::Machine> machines;
  for (const auto& [id, machine] : machines_) {
    if (machine.org() == org) machines.push_back(machine);
  }
  return machines;
}

v1::ListServicesResponse State::Services() const {
  v1::ListServicesResponse response;
  for (const auto& [id, machine] : machines_) {
    if (machine.kind() != v1::MACHINE_KIND_SERVICE) continue;
    v1::ServiceAddress* service = response.add_services();
    service->set_service(machine.name());
    if (machine.status() == v1::MACHINE_STATUS_ACTIVE) {
      service->set_identity(machine.keys().identity());
    }
    const auto address = service_addresses_.find(machine.name());
    if (address != service_addresses_.end()) service->set_address(address->second);
  }
  return response;
}

Decided<v1::Event, v1::AnnounceServiceResponse> State::Decide(
    const v1::AnnounceServiceRequest& request, const DecisionContext& context) const {
  if (!request.address().empty()) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<HostPort> addresses,
                           ParseHostPorts(request.address()));
    for (const HostPort& address : addresses) {
      if (!address.host.empty() && address.port != 0) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(FormatHostPort(address), " is not where a client could reach a service"));
    }
  }
  absl::string_view service = context.principal;
  absl::ConsumePrefix(&service, "service/");
  const auto known = service_addresses_.find(std::string(service));
  Decision<Event, v1::AnnounceServiceResponse> decision;
  if ((known == service_addresses_.end() ? "" : known->second) == request.address()) {
    return decision;
  }
  v1::ServiceAnnounced* announced = decision.events.emplace_back().mutable_service_announced();
  announced->set_service(std::string(service));
  announced->set_address(request.address());
  return decision;
}

}  // namespace berth::auth
