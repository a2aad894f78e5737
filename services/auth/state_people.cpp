// Orgs, and the people who have roles in them.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/ids/names.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"
#include "services/auth/state.h"

namespace berth::auth {
namespace {

constexpr char kPersonPrefix[] = "user/";

absl::Status CheckPerson(absl::string_view principal) {
  absl::string_view name = principal;
  if (!absl::ConsumePrefix(&name, kPersonPrefix)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", principal, "\" is no person: people are called user/NAME"));
  }
  return CheckName("a person", name);
}

absl::Status CheckRole(v1::Role role) {
  if (role == v1::ROLE_UNSPECIFIED || !v1::Role_IsValid(role)) {
    return absl::InvalidArgumentError("a member has the role viewer, developer or admin");
  }
  return absl::OkStatus();
}

const v1::RoleBinding* BindingIn(const v1::Principal& person, const std::string& org) {
  for (const v1::RoleBinding& binding : person.bindings()) {
    if (binding.org() == org) return &binding;
  }
  return nullptr;
}

v1::Event RoleGiven(const std::string& principal, const std::string& org, v1::Role role) {
  v1::Event event;
  v1::RoleGiven* given = event.mutable_role_given();
  given->set_principal(principal);
  given->mutable_binding()->set_org(org);
  given->mutable_binding()->set_role(role);
  return event;
}

}  // namespace

Decided<v1::Event, v1::CreateOrgResponse> State::Decide(const v1::CreateOrgRequest& request,
                                                        const DecisionContext& context) const {
  BERTH_RETURN_IF_ERROR(CheckName("an org", request.org()));
  if (HasOrg(request.org())) {
    return absl::AlreadyExistsError(absl::StrCat("there is an org ", request.org(), " already"));
  }
  if (orgs_.size() >= kOrgsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the platform has ", kOrgsMax, " orgs, and that is the most"));
  }
  Decision<Event, v1::CreateOrgResponse> decision;
  decision.events.emplace_back().mutable_org_created()->set_org(request.org());
  decision.events.push_back(RoleGiven(context.principal, request.org(), v1::ROLE_ADMIN));
  return decision;
}

Decided<v1::Event, v1::AddMemberResponse> State::Decide(const v1::AddMemberRequest& request,
                                                        const std::string& token_hash,
                                                        const DecisionContext& context) const {
  BERTH_RETURN_IF_ERROR(CheckPerson(request.principal()));
  BERTH_RETURN_IF_ERROR(CheckRole(request.role()));
  if (!HasOrg(request.org())) {
    return absl::NotFoundError(absl::StrCat("there is no org ", request.org()));
  }
  Decision<Event, v1::AddMemberResponse> decision;
  if (const auto known = principals_.find(request.principal()); known != principals_.end()) {
    if (BindingIn(known->second, request.org()) != nullptr) {
      return absl::AlreadyExistsError(
          absl::StrCat(request.principal(), " is a member of ", request.org(), " already"));
    }
    decision.events.push_back(RoleGiven(request.principal(), request.org(), request.role()));
    return decision;
  }
  if (principals_.size() >= kPeopleMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the platform has ", kPeopleMax, " people, and that is the most"));
  }
  v1::Principal* person =
      decision.events.emplace_back().mutable_principal_created()->mutable_principal();
  person->set_name(request.principal());
  v1::RoleBinding* binding = person->add_bindings();
  binding->set_org(request.org());
  binding->set_role(request.role());
  v1::LoginTokenCreated* created = decision.events.emplace_back().mutable_login_token_created();
  created->set_token_hash(token_hash);
  created->set_principal(request.principal());
  *created->mutable_expire_time() = ToTimestamp(context.now + kLoginTokenDuration);
  *decision.response.mutable_expire_time() = created->expire_time();
  return decision;
}

absl::StatusOr<const v1::Principal*> State::FindMember(const std::string& org,
                                                       const std::string& principal) const {
  const auto person = principals_.find(principal);
  if (person == principals_.end() || BindingIn(person->second, org) == nullptr) {
    return absl::NotFoundError(absl::StrCat("\"", principal, "\" is no member of ", org));
  }
  return &person->second;
}

Decided<v1::Event, v1::SetRoleResponse> State::Decide(const v1::SetRoleRequest& request) const {
  BERTH_RETURN_IF_ERROR(CheckRole(request.role()));
  BERTH_ASSIGN_OR_RETURN(const v1::Principal* const person,
                         FindMember(request.org(), request.principal()));
  Decision<Event, v1::SetRoleResponse> decision;
  if (BindingIn(*person, request.org())->role() != request.role()) {
    decision.events.push_back(RoleGiven(request.principal(), request.org(), request.role()));
  }
  return decision;
}

Decided<v1::Event, v1::RemoveMemberResponse> State::Decide(
    const v1::RemoveMemberRequest& request) const {
  BERTH_ASSIGN_OR_RETURN(const v1::Principal* const person,
                         FindMember(request.org(), request.principal()));
  Decision<Event, v1::RemoveMemberResponse> decision;
  v1::RoleTaken* taken = decision.events.emplace_back().mutable_role_taken();
  taken->set_principal(request.principal());
  taken->set_org(request.org());
  if (person->bindings_size() > 1 || person->platform_admin()) return decision;
  for (const v1::TokenIssued* token : TokensInOrder(request.principal())) {
    decision.events.emplace_back().mutable_token_revoked()->set_token_hash(token->token_hash());
  }
  decision.events.emplace_back().mutable_principal_removed()->set_principal(request.principal());
  decision.response.set_gone(true);
  return decision;
}

v1::ListOrgsResponse State::OrgsOf(const rpc::Caller& caller) const {
  v1::ListOrgsResponse response;
  for (const std::string& name : orgs_) {
    v1::Role role = v1::ROLE_UNSPECIFIED;
    if (caller.person.has_value()) {
      const v1::RoleBinding* binding = BindingIn(*caller.person, name);
      if (binding == nullptr && !caller.person->platform_admin()) continue;
      role = caller.person->platform_admin() ? v1::ROLE_ADMIN : binding->role();
    } else if (!caller.machine.has_value() || caller.machine->org() != name) {
      continue;
    }
    v1::Org* org = response.add_orgs();
    org->set_name(name);
    org->set_role(role);
  }
  return response;
}

v1::ListMembersResponse State::MembersOf(const std::string& org) const {
  v1::ListMembersResponse response;
  for (const auto& [name, person] : principals_) {
    const v1::RoleBinding* binding = BindingIn(person, org);
    if (binding == nullptr) continue;
    v1::Member* member = response.add_members();
    member->set_principal(name);
    member->set_role(binding->role());
    member->set_platform_admin(person.platform_admin());
    member->set_invited(login_tokens_.contains(name));
  }
  return response;
}

}  // namespace berth::auth
