#include "services/auth/state.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/crypto/machine_identity.h"
#include "common/crypto/secret_bytes.h"
#include "common/ids/names.h"
#include "common/rpc/token.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth::auth {
namespace {

constexpr char kFirstOrg[] = "home";
constexpr char kFirstPrincipal[] = "user/admin";

absl::string_view KindName(v1::MachineKind kind) {
  switch (kind) {
    case v1::MACHINE_KIND_HOST:
      return "host";
    case v1::MACHINE_KIND_EDGE:
      return "edge";
    case v1::MACHINE_KIND_SERVICE:
      return "service";
    default:
      return "machine";
  }
}

bool IsPast(const google::protobuf::Timestamp& time, absl::Time now) {
  return now >= FromTimestamp(time);
}

bool SameKeys(const v1::MachineKeys& left, const v1::MachineKeys& right) {
  return std::tie(left.identity(), left.wireguard(), left.sealing()) ==
         std::tie(right.identity(), right.wireguard(), right.sealing());
}

absl::Status JoinTokenRefused(absl::string_view why) {
  return WithReason(
      absl::PermissionDeniedError(absl::StrCat(
          "the join token ", why, "; ask an administrator of the org for another one")),
      reason::kTokenInvalid);
}

v1::Token ToToken(const v1::TokenIssued& issued) {
  v1::Token token;
  token.set_principal(issued.principal());
  *token.mutable_expire_time() = issued.expire_time();
  return token;
}

std::string AccessKey(const v1::Machine& machine) {
  return absl::StrCat("machine/", absl::BytesToHexString(machine.keys().identity()));
}

}  // namespace

std::string PrincipalOf(const v1::Machine& machine) {
  return absl::StrCat(KindName(machine.kind()), "/", machine.name());
}

Decided<v1::Event, v1::WhoAmIResponse> State::Initialise(const std::string& ula_prefix,
                                                         const std::string& bootstrap_token_hash,
                                                         std::vector<RowChange> rows) const {
  Decision<Event, v1::WhoAmIResponse> decision;
  decision.response.set_principal(kFirstPrincipal);
  if (initialised()) return decision;
  v1::PlatformInitialised* platform = decision.events.emplace_back().mutable_platform_initialised();
  platform->set_ula_prefix(ula_prefix);
  platform->set_bootstrap_token_hash(bootstrap_token_hash);
  decision.events.emplace_back().mutable_org_created()->set_org(kFirstOrg);
  v1::Principal* admin =
      decision.events.emplace_back().mutable_principal_created()->mutable_principal();
  admin->set_name(kFirstPrincipal);
  admin->set_platform_admin(true);
  v1::RoleBinding* binding = admin->add_bindings();
  binding->set_org(kFirstOrg);
  binding->set_role(v1::ROLE_ADMIN);
  decision.rows = std::move(rows);
  return decision;
}

Decided<v1::Event, v1::LoginResponse> State::Decide(const v1::LoginRequest& request,
                                                    const std::string& token_hash,
                                                    const DecisionContext& context) const {
  if (request.proof_case() != v1::LoginRequest::kBootstrapToken) {
    return absl::InvalidArgumentError("the login carries no proof of who is signing in");
  }
  if (!ConstantTimeEqual(Blake2b256({request.bootstrap_token()}), bootstrap_token_hash_)) {
    return WithReason(
        absl::PermissionDeniedError(
            "the bootstrap token is not this platform's; it is in the file bootstrap-token of the "
            "auth service's folder"),
        reason::kTokenInvalid);
  }
  Decision<Event, v1::LoginResponse> decision;
  v1::TokenIssued* issued = decision.events.emplace_back().mutable_token_issued();
  issued->set_token_hash(token_hash);
  issued->set_principal(kFirstPrincipal);
  *issued->mutable_expire_time() = ToTimestamp(context.now + kSessionDuration);
  decision.response.set_principal(kFirstPrincipal);
  *decision.response.mutable_expire_time() = issued->expire_time();
  decision.response.set_position(context.position);
  return decision;
}

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
  if (FindMachine(request.kind(), request.name()) != nullptr) {
    return absl::AlreadyExistsError(absl::StrCat("a ", KindName(request.kind()), " named ",
                                                 request.name(), " is a member already"));
  }
  Decision<Event, v1::CreateJoinTokenResponse> decision;
  v1::JoinTokenCreated* created = decision.events.emplace_back().mutable_join_token_created();
  created->set_token_hash(token_hash);
  created->set_kind(request.kind());
  created->set_name(request.name());
  created->set_org(request.org());
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
  const std::optional<rpc::TokenParts> parts = rpc::ParseToken(request.join_token());
  if (!parts.has_value()) return JoinTokenRefused("is malformed");
  const auto found = join_tokens_.find(parts->hash);
  if (found == join_tokens_.end()) return JoinTokenRefused("is not known");
  const JoinToken& token = found->second;
  Decision<Event, v1::EnrolResponse> decision;
  if (token.used_by.has_value()) {
    // A machine that lost the answer asks again; anyone else comes too late.
    const v1::Machine* machine = FindMachine(token.created.kind(), token.created.name());
    if (machine == nullptr || !SameKeys(machine->keys(), request.keys())) {
      return JoinTokenRefused("was used already");
    }
    *decision.response.mutable_machine() = *machine;
    return decision;
  }
  if (IsPast(token.created.expire_time(), context.now)) return JoinTokenRefused("has expired");
  if (FindMachine(token.created.kind(), token.created.name()) != nullptr) {
    return JoinTokenRefused("is for a name that has joined meanwhile");
  }
  if (machines_by_key_.contains(request.keys().identity())) {
    return absl::AlreadyExistsError("this machine's key is another member's already");
  }
  v1::MachineEnrolled* enrolled = decision.events.emplace_back().mutable_machine_enrolled();
  enrolled->set_join_token_hash(parts->hash);
  v1::Machine* machine = enrolled->mutable_machine();
  machine->set_kind(token.created.kind());
  machine->set_name(token.created.name());
  machine->set_org(token.created.org());
  machine->set_status(v1::MACHINE_STATUS_ACTIVE);
  *machine->mutable_keys() = request.keys();
  *machine->mutable_enrol_time() = ToTimestamp(context.now);
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

void State::Apply(const Event& event) {
  switch (event.event_case()) {
    case Event::kPlatformInitialised:
      ula_prefix_ = event.platform_initialised().ula_prefix();
      bootstrap_token_hash_ = event.platform_initialised().bootstrap_token_hash();
      return;
    case Event::kOrgCreated:
      orgs_.insert(event.org_created().org());
      return;
    case Event::kPrincipalCreated:
      principals_[event.principal_created().principal().name()] =
          event.principal_created().principal();
      return;
    case Event::kTokenIssued:
      tokens_[event.token_issued().token_hash()] = event.token_issued();
      return;
    case Event::kJoinTokenCreated:
      join_tokens_[event.join_token_created().token_hash()] = {event.join_token_created(), {}};
      return;
    case Event::kMachineEnrolled: {
      const v1::Machine& machine = event.machine_enrolled().machine();
      const MachineId id(machine.kind(), machine.name());
      machines_[id] = machine;
      machines_by_key_[machine.keys().identity()] = id;
      join_tokens_[event.machine_enrolled().join_token_hash()].used_by = machine.keys().identity();
      hosts_numbered_ = std::max(hosts_numbered_, event.machine_enrolled().host_number());
      return;
    }
    case Event::EVENT_NOT_SET:
      break;
  }
  BERTH_CHECK_MESSAGE(false, "an event without content");
}

void State::Touched(const Event& event, std::set<TopicKey>* keys) const {
  switch (event.event_case()) {
    case Event::kPrincipalCreated:
      keys->insert(
          {kAccessTopic, absl::StrCat("principal/", event.principal_created().principal().name())});
      return;
    case Event::kTokenIssued:
      keys->insert({kAccessTopic, absl::StrCat("token/", absl::BytesToHexString(
                                                             event.token_issued().token_hash()))});
      return;
    case Event::kMachineEnrolled: {
      const v1::Machine& machine = event.machine_enrolled().machine();
      keys->insert({kAccessTopic, AccessKey(machine)});
      keys->insert({kMachinesTopic, PrincipalOf(machine)});
      return;
    }
    case Event::kPlatformInitialised:
    case Event::kOrgCreated:
    case Event::kJoinTokenCreated:
    case Event::EVENT_NOT_SET:
      return;
  }
}

std::optional<std::string> State::View(const TopicKey& key) const {
  absl::string_view rest = key.second;
  if (key.first == kAccessTopic && absl::ConsumePrefix(&rest, "principal/")) {
    const auto found = principals_.find(std::string(rest));
    if (found != principals_.end()) return found->second.SerializeAsString();
  } else if (key.first == kAccessTopic && absl::ConsumePrefix(&rest, "token/")) {
    const auto found = tokens_.find(absl::HexStringToBytes(rest));
    if (found != tokens_.end()) return ToToken(found->second).SerializeAsString();
  } else if (key.first == kAccessTopic && absl::ConsumePrefix(&rest, "machine/")) {
    const auto found = machines_by_key_.find(absl::HexStringToBytes(rest));
    if (found != machines_by_key_.end()) return machines_.at(found->second).SerializeAsString();
  } else if (key.first == kMachinesTopic) {
    for (const auto& [id, machine] : machines_) {
      if (PrincipalOf(machine) == key.second) return machine.SerializeAsString();
    }
  }
  return std::nullopt;
}

TopicEntries State::Entries(const std::string& topic) const {
  TopicEntries entries;
  if (topic == kMachinesTopic) {
    for (const auto& [id, machine] : machines_) {
      entries.emplace_back(PrincipalOf(machine), machine.SerializeAsString());
    }
  } else if (topic == kAccessTopic) {
    for (const auto& [name, principal] : principals_) {
      entries.emplace_back(absl::StrCat("principal/", name), principal.SerializeAsString());
    }
    for (const auto& [hash, issued] : tokens_) {
      entries.emplace_back(absl::StrCat("token/", absl::BytesToHexString(hash)),
                           ToToken(issued).SerializeAsString());
    }
    for (const auto& [id, machine] : machines_) {
      entries.emplace_back(AccessKey(machine), machine.SerializeAsString());
    }
  }
  return entries;
}

const v1::Machine* State::FindMachine(v1::MachineKind kind, const std::string& name) const {
  const auto found = machines_.find({kind, name});
  return found == machines_.end() ? nullptr : &found->second;
}

std::vector<v1::Machine> State::MachinesOf(const std::string& org) const {
  std::vector<v1::Machine> machines;
  for (const auto& [id, machine] : machines_) {
    if (machine.org() == org) machines.push_back(machine);
  }
  return machines;
}

}  // namespace berth::auth
