#include "services/auth/state.h"

namespace berth::auth {

// Every member is named where it is saved: one that is added stops the build there.

v1::StateSnapshot State::Save() const {
  v1::StateSnapshot saved;
  const auto& [ula_prefix, bootstrap_token_hash, orgs, principals, tokens, login_tokens,
               join_tokens, machines, machines_by_key, hosts_numbered, service_addresses] = *this;
  saved.set_ula_prefix(ula_prefix);
  saved.set_bootstrap_token_hash(bootstrap_token_hash);
  for (const std::string& org : orgs) saved.add_orgs(org);
  for (const auto& [name, principal] : principals) *saved.add_principals() = principal;
  for (const auto& [hash, token] : tokens) *saved.add_tokens() = token;
  for (const auto& [principal, token] : login_tokens) *saved.add_login_tokens() = token;
  for (const auto& [hash, token] : join_tokens) {
    const auto& [created, used_by] = token;
    v1::SavedJoinToken& saved_token = *saved.add_join_tokens();
    saved_token.set_token_hash(hash);
    *saved_token.mutable_created() = created;
    if (used_by.has_value()) saved_token.set_used_by(*used_by);
  }
  for (const auto& [id, machine] : machines) *saved.add_machines() = machine;
  saved.set_hosts_numbered(hosts_numbered);
  for (const auto& [service, address] : service_addresses) {
    v1::SavedServiceAddress& saved_address = *saved.add_service_addresses();
    saved_address.set_service(service);
    saved_address.set_address(address);
  }
  return saved;
}

void State::Load(const v1::StateSnapshot& saved) {
  *this = State();
  ula_prefix_ = saved.ula_prefix();
  bootstrap_token_hash_ = saved.bootstrap_token_hash();
  orgs_ = {saved.orgs().begin(), saved.orgs().end()};
  for (const v1::Principal& principal : saved.principals()) {
    principals_[principal.name()] = principal;
  }
  for (const v1::TokenIssued& token : saved.tokens()) tokens_[token.token_hash()] = token;
  for (const v1::LoginTokenCreated& token : saved.login_tokens()) {
    login_tokens_[token.principal()] = token;
  }
  for (const v1::SavedJoinToken& saved_token : saved.join_tokens()) {
    JoinToken& token = join_tokens_[saved_token.token_hash()];
    token.created = saved_token.created();
    if (saved_token.has_used_by()) token.used_by = saved_token.used_by();
  }
  for (const v1::Machine& machine : saved.machines()) {
    const MachineId id(machine.kind(), machine.name());
    machines_[id] = machine;
    machines_by_key_[machine.keys().identity()] = id;
  }
  hosts_numbered_ = saved.hosts_numbered();
  for (const v1::SavedServiceAddress& saved_address : saved.service_addresses()) {
    service_addresses_[saved_address.service()] = saved_address.address();
  }
}

}  // namespace berth::auth
