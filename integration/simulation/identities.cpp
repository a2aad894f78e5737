#include "integration/simulation/identities.h"

#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/rpc/token.h"
#include "common/time/timestamp.h"

namespace berth::simulation {
namespace {

constexpr size_t kPrefixSize = 8;

Identity Machine(const std::string& principal) {
  Identity machine{principal, {}};
  machine.credentials.identity_key = SigningKeyOf(machine).public_key();
  return machine;
}

void AddPerson(const std::string& name, auth::v1::Role role, TopicEntries* entries) {
  auth::v1::Principal principal;
  principal.set_name(Person(name).principal);
  auth::v1::RoleBinding& binding = *principal.add_bindings();
  binding.set_org(kOrg);
  binding.set_role(role);
  entries->emplace_back(absl::StrCat("principal/", principal.name()),
                        principal.SerializeAsString());
  auth::v1::Token token;
  token.set_principal(principal.name());
  *token.mutable_expire_time() = ToTimestamp(absl::FromUnixSeconds(4'000'000'000));
  entries->emplace_back(absl::StrCat("token/", HexEncode(rpc::TokenHash(Blake2b256({name})))),
                        token.SerializeAsString());
}

auth::v1::Machine MachineOf(auth::v1::MachineKind kind, const std::string& name,
                            const Identity& identity) {
  auth::v1::Machine machine;
  machine.set_kind(kind);
  machine.set_name(name);
  machine.set_status(auth::v1::MACHINE_STATUS_ACTIVE);
  machine.mutable_keys()->set_identity(identity.credentials.identity_key);
  machine.mutable_keys()->set_sealing(SealingKeyOf(identity).public_key());
  return machine;
}

auth::v1::Machine HostOf(const std::string& name) {
  auth::v1::Machine machine = MachineOf(auth::v1::MACHINE_KIND_HOST, name, HostMember(name));
  machine.set_org(kOrg);
  machine.set_prefix(Blake2b256({name}).substr(0, kPrefixSize));
  return machine;
}

auth::v1::Machine EdgeOf(const std::string& name) {
  auth::v1::Machine machine = MachineOf(auth::v1::MACHINE_KIND_EDGE, name, EdgeMember(name));
  machine.set_org(kOrg);
  return machine;
}

}  // namespace

std::string HostName(uint64_t number) { return absl::StrCat("host-", number); }

std::string EdgeName(uint64_t number) { return absl::StrCat("edge-", number); }

Identity Person(const std::string& name) {
  return {absl::StrCat("user/", name),
          {.identity_key = "", .token = rpc::FormatToken(1, Blake2b256({name}))}};
}
Identity ServiceMember(const std::string& name) { return Machine(absl::StrCat("service/", name)); }
Identity HostMember(const std::string& name) { return Machine(absl::StrCat("host/", name)); }
Identity EdgeMember(const std::string& name) { return Machine(absl::StrCat("edge/", name)); }

SigningKey SigningKeyOf(const Identity& machine) {
  absl::StatusOr<SigningKey> key = SigningKey::FromSeed(Blake2b256({machine.principal}));
  BERTH_CHECK(key.ok());
  return *std::move(key);
}

SealingKey SealingKeyOf(const Identity& machine) {
  absl::StatusOr<SealingKey> key =
      SealingKey::FromPrivateKey(Blake2b256({"sealing", machine.principal}));
  BERTH_CHECK(key.ok());
  return *std::move(key);
}

TopicEntries Machines(const Members& members) {
  TopicEntries entries;
  for (const std::string& name : members.hosts) {
    entries.emplace_back(HostMember(name).principal, HostOf(name).SerializeAsString());
  }
  for (const std::string& name : members.edges) {
    entries.emplace_back(EdgeMember(name).principal, EdgeOf(name).SerializeAsString());
  }
  return entries;
}

void GiveAccess(const Members& members, rpc::AccessView* access) {
  TopicEntries entries;
  for (const std::string& name : members.viewers) {
    AddPerson(name, auth::v1::ROLE_VIEWER, &entries);
  }
  for (const std::string& name : members.admins) AddPerson(name, auth::v1::ROLE_ADMIN, &entries);
  std::vector<auth::v1::Machine> machines;
  for (const std::string& name : members.services) {
    machines.push_back(MachineOf(auth::v1::MACHINE_KIND_SERVICE, name, ServiceMember(name)));
  }
  for (const std::string& name : members.hosts) machines.push_back(HostOf(name));
  for (const std::string& name : members.edges) machines.push_back(EdgeOf(name));
  for (const auth::v1::Machine& machine : machines) {
    entries.emplace_back(absl::StrCat("machine/", HexEncode(machine.keys().identity())),
                         machine.SerializeAsString());
  }
  access->Replace(entries);
  access->Advance(1);
}

}  // namespace berth::simulation
