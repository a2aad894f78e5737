#include "services/auth/state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/time/timestamp.h"

namespace berth::auth {
namespace {

constexpr char kFirstOrg[] = "home";
constexpr char kFirstPrincipal[] = "user/admin";

v1::Token ToToken(const v1::TokenIssued& issued) {
  v1::Token token;
  token.set_principal(issued.principal());
  *token.mutable_expire_time() = issued.expire_time();
  token.set_role(issued.role());
  return token;
}

std::string PrincipalKey(const std::string& principal) {
  return absl::StrCat("principal/", principal);
}

std::string TokenKey(const std::string& hash) { return absl::StrCat("token/", HexEncode(hash)); }

std::string MachineKey(const std::string& identity) {
  return absl::StrCat("machine/", HexEncode(identity));
}

void TouchMachine(const v1::Machine& machine, std::set<TopicKey>* keys) {
  keys->insert({State::kAccessTopic, MachineKey(machine.keys().identity())});
  keys->insert({State::kMachinesTopic, PrincipalOf(machine)});
}

}  // namespace

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

std::string PrincipalOf(const v1::Machine& machine) {
  return absl::StrCat(KindName(machine.kind()), "/", machine.name());
}

Decided<v1::Event, v1::WhoAmIResponse> State::Initialise(const std::string& ula_prefix,
                                                         const std::string& bootstrap_token_hash,
                                                         std::vector<RowChange> rows) const {
  Decision<Event, v1::WhoAmIResponse> decision;
  decision.response.set_principal(kFirstPrincipal);
  if (initialised()) {
    // Whoever can write the file administers the machine that auth runs on: the file is right.
    if (bootstrap_token_hash != bootstrap_token_hash_) {
      decision.events.emplace_back().mutable_bootstrap_token_replaced()->set_bootstrap_token_hash(
          bootstrap_token_hash);
    }
    return decision;
  }
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
      if (!event.token_issued().login_token_hash().empty()) {
        login_tokens_.erase(event.token_issued().principal());
      }
      return;
    case Event::kBootstrapTokenReplaced:
      bootstrap_token_hash_ = event.bootstrap_token_replaced().bootstrap_token_hash();
      return;
    case Event::kLoginTokenCreated:
      // A new one takes the place of one that was not used.
      login_tokens_[event.login_token_created().principal()] = event.login_token_created();
      return;
    case Event::kRoleGiven: {
      const v1::RoleBinding& given = event.role_given().binding();
      v1::Principal& person = principals_[event.role_given().principal()];
      for (v1::RoleBinding& binding : *person.mutable_bindings()) {
        if (binding.org() != given.org()) continue;
        binding = given;
        return;
      }
      *person.add_bindings() = given;
      return;
    }
    case Event::kRoleTaken: {
      auto* bindings = principals_[event.role_taken().principal()].mutable_bindings();
      bindings->erase(std::remove_if(bindings->begin(), bindings->end(),
                                     [&event](const v1::RoleBinding& binding) {
                                       return binding.org() == event.role_taken().org();
                                     }),
                      bindings->end());
      return;
    }
    case Event::kPrincipalRemoved:
      principals_.erase(event.principal_removed().principal());
      login_tokens_.erase(event.principal_removed().principal());
      return;
    case Event::kTokenRevoked:
      tokens_.erase(event.token_revoked().token_hash());
      return;
    case Event::kTokensExpired: {
      const v1::TokensExpired& expired = event.tokens_expired();
      for (const std::string& hash : expired.token_hashes()) tokens_.erase(hash);
      for (const std::string& hash : expired.join_token_hashes()) join_tokens_.erase(hash);
      for (const std::string& hash : expired.login_token_hashes()) {
        std::erase_if(login_tokens_,
                      [&hash](const auto& entry) { return entry.second.token_hash() == hash; });
      }
      return;
    }
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
    case Event::kMachineKeysChanged: {
      const v1::Machine& machine = event.machine_keys_changed().machine();
      const MachineId id(machine.kind(), machine.name());
      machines_[id] = machine;
      machines_by_key_.erase(event.machine_keys_changed().replaced_identity());
      machines_by_key_[machine.keys().identity()] = id;
      const auto token = join_tokens_.find(event.machine_keys_changed().join_token_hash());
      if (token != join_tokens_.end()) token->second.used_by = machine.keys().identity();
      return;
    }
    case Event::kMachineApproved: {
      v1::Machine& machine =
          machines_[{event.machine_approved().kind(), event.machine_approved().name()}];
      machine.set_status(v1::MACHINE_STATUS_ACTIVE);
      machine.clear_previous_identity();
      return;
    }
    case Event::kMachineRemoved: {
      const v1::MachineRemoved& removed = event.machine_removed();
      machines_.erase({removed.kind(), removed.name()});
      machines_by_key_.erase(removed.identity());
      std::erase_if(join_tokens_, [&removed](const auto& entry) {
        return entry.second.created.kind() == removed.kind() &&
               entry.second.created.name() == removed.name();
      });
      return;
    }
    case Event::kServiceAnnounced:
      if (event.service_announced().address().empty()) {
        service_addresses_.erase(event.service_announced().service());
      } else {
        service_addresses_[event.service_announced().service()] =
            event.service_announced().address();
      }
      return;
    case Event::EVENT_NOT_SET:
      break;
  }
  BERTH_CHECK_MESSAGE(false, "an event without content");
}

void State::Touched(const Event& event, std::set<TopicKey>* keys) const {
  switch (event.event_case()) {
    case Event::kPrincipalCreated:
      keys->insert({kAccessTopic, PrincipalKey(event.principal_created().principal().name())});
      return;
    case Event::kRoleGiven:
      keys->insert({kAccessTopic, PrincipalKey(event.role_given().principal())});
      return;
    case Event::kRoleTaken:
      keys->insert({kAccessTopic, PrincipalKey(event.role_taken().principal())});
      return;
    case Event::kPrincipalRemoved:
      keys->insert({kAccessTopic, PrincipalKey(event.principal_removed().principal())});
      return;
    case Event::kTokenIssued:
      keys->insert({kAccessTopic, TokenKey(event.token_issued().token_hash())});
      return;
    case Event::kTokenRevoked:
      keys->insert({kAccessTopic, TokenKey(event.token_revoked().token_hash())});
      return;
    case Event::kTokensExpired:
      for (const std::string& hash : event.tokens_expired().token_hashes()) {
        keys->insert({kAccessTopic, TokenKey(hash)});
      }
      return;
    case Event::kMachineEnrolled:
      TouchMachine(event.machine_enrolled().machine(), keys);
      return;
    case Event::kMachineKeysChanged:
      TouchMachine(event.machine_keys_changed().machine(), keys);
      keys->insert({kAccessTopic, MachineKey(event.machine_keys_changed().replaced_identity())});
      return;
    case Event::kMachineApproved: {
      const v1::MachineApproved& approved = event.machine_approved();
      TouchMachine(machines_.at({approved.kind(), approved.name()}), keys);
      return;
    }
    case Event::kMachineRemoved: {
      v1::Machine machine;
      machine.set_kind(event.machine_removed().kind());
      machine.set_name(event.machine_removed().name());
      machine.mutable_keys()->set_identity(event.machine_removed().identity());
      TouchMachine(machine, keys);
      return;
    }
    case Event::kPlatformInitialised:
    case Event::kOrgCreated:
    case Event::kJoinTokenCreated:
    case Event::kLoginTokenCreated:
    case Event::kBootstrapTokenReplaced:
    case Event::kServiceAnnounced:
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
    const auto found = tokens_.find(HexDecode(rest).value_or(""));
    if (found != tokens_.end()) return ToToken(found->second).SerializeAsString();
  } else if (key.first == kAccessTopic && absl::ConsumePrefix(&rest, "machine/")) {
    const auto found = machines_by_key_.find(HexDecode(rest).value_or(""));
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
      entries.emplace_back(PrincipalKey(name), principal.SerializeAsString());
    }
    for (const auto& [hash, issued] : tokens_) {
      entries.emplace_back(TokenKey(hash), ToToken(issued).SerializeAsString());
    }
    for (const auto& [id, machine] : machines_) {
      entries.emplace_back(MachineKey(machine.keys().identity()), machine.SerializeAsString());
    }
  }
  return entries;
}

}  // namespace berth::auth
