// Sessions, tokens and the one-time tokens that people sign in with.

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"
#include "common/crypto/secret_bytes.h"
#include "common/ids/names.h"
#include "common/rpc/token.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"
#include "services/auth/state.h"

namespace berth::auth {
namespace {

constexpr char kBootstrapPrincipal[] = "user/admin";
constexpr size_t kTokenIdBytes = 8;

absl::Status LoginTokenRefused(absl::string_view why) {
  return WithReason(absl::PermissionDeniedError(absl::StrCat(
                        "the login token ", why, "; ask an admin of your org for another one")),
                    reason::kTokenInvalid);
}

std::string TokenId(const v1::TokenIssued& token) {
  return absl::BytesToHexString(token.token_hash().substr(0, kTokenIdBytes));
}

absl::Status CheckPerson(const rpc::Caller& caller) {
  if (caller.person.has_value()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(caller.principal, " is known by its key and has no token"));
}

absl::Status CheckOwner(const std::string& owner, const rpc::Caller& caller) {
  if (owner == caller.principal || caller.person->platform_admin()) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("the tokens of ", owner, " are their own"));
}

absl::StatusOr<absl::Duration> LifetimeOf(const v1::CreateTokenRequest& request) {
  if (!request.has_lifetime()) return State::kSessionDuration;
  const absl::Duration lifetime = absl::Seconds(request.lifetime().seconds());
  if (request.lifetime().nanos() != 0 || lifetime < absl::Seconds(1) ||
      lifetime > State::kTokenDurationMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a token is valid for whole seconds, at least 1 and at most ",
                     absl::ToInt64Hours(State::kTokenDurationMax) / 24, " days"));
  }
  return lifetime;
}

}  // namespace

absl::StatusOr<std::pair<std::string, std::string>> State::CheckProof(
    const v1::LoginRequest& request, absl::Time now) const {
  if (request.proof_case() == v1::LoginRequest::kBootstrapToken) {
    if (ConstantTimeEqual(Blake2b256({request.bootstrap_token()}), bootstrap_token_hash_)) {
      return std::pair<std::string, std::string>(kBootstrapPrincipal, "");
    }
    return WithReason(
        absl::PermissionDeniedError(
            "the bootstrap token is not this platform's; it is in the file bootstrap-token of the "
            "auth service's folder"),
        reason::kTokenInvalid);
  }
  if (request.proof_case() != v1::LoginRequest::kLoginToken) {
    return absl::InvalidArgumentError("the login carries no proof of who is signing in");
  }
  const auto parts = rpc::ParseOneTimeToken(rpc::kLoginPurpose, request.login_token());
  if (!parts.has_value()) return LoginTokenRefused("is malformed");
  for (const auto& [principal, created] : login_tokens_) {
    if (created.token_hash() != parts->hash) continue;
    if (IsPast(created.expire_time(), now)) return LoginTokenRefused("has expired");
    return std::pair(principal, parts->hash);
  }
  return LoginTokenRefused("is not known, or was used already");
}

Decided<v1::Event, v1::LoginResponse> State::Decide(const v1::LoginRequest& request,
                                                    const std::string& token_hash,
                                                    const DecisionContext& context) const {
  BERTH_ASSIGN_OR_RETURN(const auto proof, CheckProof(request, context.now));
  const auto& [principal, login_token_hash] = proof;
  Decision<Event, v1::LoginResponse> decision;
  const std::vector<const v1::TokenIssued*> tokens = TokensInOrder(principal);
  if (tokens.size() >= kTokensMax) {
    // Signing in always works: the oldest session ends for it, or where there is none, the oldest
    // token.
    const auto session = std::find_if(tokens.begin(), tokens.end(),
                                      [](const auto* token) { return token->name().empty(); });
    decision.events.emplace_back().mutable_token_revoked()->set_token_hash(
        (session == tokens.end() ? tokens.front() : *session)->token_hash());
  }
  v1::TokenIssued* issued = decision.events.emplace_back().mutable_token_issued();
  issued->set_token_hash(token_hash);
  issued->set_principal(principal);
  *issued->mutable_expire_time() = ToTimestamp(context.now + kSessionDuration);
  *issued->mutable_create_time() = ToTimestamp(context.now);
  issued->set_login_token_hash(login_token_hash);
  decision.response.set_principal(principal);
  *decision.response.mutable_expire_time() = issued->expire_time();
  decision.response.set_position(context.position);
  return decision;
}

Decided<v1::Event, v1::LogoutResponse> State::Decide(const v1::LogoutRequest&,
                                                     const rpc::Caller& caller) const {
  BERTH_RETURN_IF_ERROR(CheckPerson(caller));
  Decision<Event, v1::LogoutResponse> decision;
  if (tokens_.contains(caller.token_hash)) {
    decision.events.emplace_back().mutable_token_revoked()->set_token_hash(caller.token_hash);
  }
  return decision;
}

Decided<v1::Event, v1::CreateLoginTokenResponse> State::Decide(
    const v1::CreateLoginTokenRequest& request, const std::string& token_hash,
    const rpc::Caller& caller, const DecisionContext& context) const {
  BERTH_ASSIGN_OR_RETURN(const v1::Principal* const person,
                         FindMember(request.org(), request.principal()));
  const bool belongs_to_the_org = person->bindings_size() == 1 && !person->platform_admin();
  if (!belongs_to_the_org && !caller.person->platform_admin()) {
    return absl::PermissionDeniedError(absl::StrCat(
        request.principal(), " may do more than what is ", request.org(),
        "'s to give, so that only the platform's administrator can let somebody sign in as them"));
  }
  Decision<Event, v1::CreateLoginTokenResponse> decision;
  v1::LoginTokenCreated* created = decision.events.emplace_back().mutable_login_token_created();
  created->set_token_hash(token_hash);
  created->set_principal(request.principal());
  *created->mutable_expire_time() = ToTimestamp(context.now + kLoginTokenDuration);
  *decision.response.mutable_expire_time() = created->expire_time();
  return decision;
}

absl::Status State::CheckSession(const rpc::Caller& caller) const {
  const auto token = tokens_.find(caller.token_hash);
  if (token != tokens_.end() && token->second.name().empty()) return absl::OkStatus();
  return WithReason(absl::PermissionDeniedError(
                        "a token is not enough for this; sign in and do it with the session"),
                    reason::kSessionNeeded);
}

std::vector<const v1::TokenIssued*> State::TokensInOrder(const std::string& principal) const {
  std::vector<const v1::TokenIssued*> tokens;
  for (const auto& [hash, token] : tokens_) {
    if (token.principal() == principal) tokens.push_back(&token);
  }
  std::stable_sort(tokens.begin(), tokens.end(), [](const auto* left, const auto* right) {
    return FromTimestamp(left->create_time()) < FromTimestamp(right->create_time());
  });
  return tokens;
}

Decided<v1::Event, v1::CreateTokenResponse> State::Decide(const v1::CreateTokenRequest& request,
                                                          const std::string& token_hash,
                                                          const rpc::Caller& caller,
                                                          const DecisionContext& context) const {
  BERTH_RETURN_IF_ERROR(CheckPerson(caller));
  BERTH_RETURN_IF_ERROR(CheckSession(caller));
  BERTH_RETURN_IF_ERROR(CheckName("a token", request.name()));
  if (!v1::Role_IsValid(request.role())) {
    return absl::InvalidArgumentError("a token has the role viewer, developer or admin");
  }
  BERTH_ASSIGN_OR_RETURN(const absl::Duration lifetime, LifetimeOf(request));
  const std::vector<const v1::TokenIssued*> tokens = TokensInOrder(caller.principal);
  for (const v1::TokenIssued* token : tokens) {
    if (token->name() == request.name() && !IsPast(token->expire_time(), context.now)) {
      return absl::AlreadyExistsError(
          absl::StrCat(caller.principal, " has a token ", request.name(), " already"));
    }
  }
  if (tokens.size() >= kTokensMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat(caller.principal, " has ", kTokensMax,
                     " sessions and tokens, and that is the most; revoke one"));
  }
  Decision<Event, v1::CreateTokenResponse> decision;
  v1::TokenIssued* issued = decision.events.emplace_back().mutable_token_issued();
  issued->set_token_hash(token_hash);
  issued->set_principal(caller.principal);
  *issued->mutable_expire_time() = ToTimestamp(context.now + lifetime);
  *issued->mutable_create_time() = ToTimestamp(context.now);
  issued->set_name(request.name());
  issued->set_role(request.role());
  *decision.response.mutable_expire_time() = issued->expire_time();
  decision.response.set_position(context.position);
  return decision;
}

absl::StatusOr<v1::ListTokensResponse> State::TokensOf(const std::string& principal,
                                                       const rpc::Caller& caller) const {
  BERTH_RETURN_IF_ERROR(CheckPerson(caller));
  const std::string& owner = principal.empty() ? caller.principal : principal;
  BERTH_RETURN_IF_ERROR(CheckOwner(owner, caller));
  v1::ListTokensResponse response;
  for (const v1::TokenIssued* token : TokensInOrder(owner)) {
    v1::TokenSummary* summary = response.add_tokens();
    summary->set_id(TokenId(*token));
    summary->set_name(token->name());
    summary->set_role(token->role());
    *summary->mutable_create_time() = token->create_time();
    *summary->mutable_expire_time() = token->expire_time();
    summary->set_current(token->token_hash() == caller.token_hash);
  }
  return response;
}

Decided<v1::Event, v1::RevokeTokenResponse> State::Decide(const v1::RevokeTokenRequest& request,
                                                          const rpc::Caller& caller) const {
  BERTH_RETURN_IF_ERROR(CheckPerson(caller));
  if (request.token().empty())
    return absl::InvalidArgumentError("which token? give its name or id");
  const std::string& owner = request.principal().empty() ? caller.principal : request.principal();
  BERTH_RETURN_IF_ERROR(CheckOwner(owner, caller));
  for (const v1::TokenIssued* token : TokensInOrder(owner)) {
    if (token->name() != request.token() && TokenId(*token) != request.token()) continue;
    // Whoever found a token may end it, and nothing else.
    if (token->token_hash() != caller.token_hash) BERTH_RETURN_IF_ERROR(CheckSession(caller));
    Decision<Event, v1::RevokeTokenResponse> decision;
    decision.events.emplace_back().mutable_token_revoked()->set_token_hash(token->token_hash());
    return decision;
  }
  return absl::NotFoundError(absl::StrCat(owner, " has no token ", request.token()));
}

Decided<v1::Event, v1::LogoutResponse> State::ForgetExpired(const DecisionContext& context) const {
  v1::TokensExpired expired;
  for (const auto& [hash, token] : tokens_) {
    if (expired.token_hashes_size() == kForgottenMax) break;
    if (IsPast(token.expire_time(), context.now)) expired.add_token_hashes(hash);
  }
  for (const auto& [principal, token] : login_tokens_) {
    if (expired.login_token_hashes_size() == kForgottenMax) break;
    if (IsPast(token.expire_time(), context.now)) {
      expired.add_login_token_hashes(token.token_hash());
    }
  }
  for (const auto& [hash, token] : join_tokens_) {
    if (expired.join_token_hashes_size() == kForgottenMax) break;
    if (IsPast(token.created.expire_time(), context.now)) expired.add_join_token_hashes(hash);
  }
  Decision<Event, v1::LogoutResponse> decision;
  if (expired.ByteSizeLong() > 0) {
    *decision.events.emplace_back().mutable_tokens_expired() = std::move(expired);
  }
  return decision;
}

}  // namespace berth::auth
