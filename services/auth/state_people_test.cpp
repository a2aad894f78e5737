#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/status/error_details.h"
#include "services/auth/model_platform.h"

namespace berth::auth {
namespace {

constexpr char kAda[] = "user/ada";

v1::AddMemberRequest AddMember(const std::string& org, const std::string& principal,
                               v1::Role role) {
  v1::AddMemberRequest request;
  request.set_org(org);
  request.set_principal(principal);
  request.set_role(role);
  return request;
}

v1::Event OrgCreated(const std::string& org) {
  v1::Event event;
  event.mutable_org_created()->set_org(org);
  return event;
}

v1::Event RoleGiven(const std::string& principal, const std::string& org, v1::Role role) {
  v1::Event event;
  event.mutable_role_given()->set_principal(principal);
  event.mutable_role_given()->mutable_binding()->set_org(org);
  event.mutable_role_given()->mutable_binding()->set_role(role);
  return event;
}

// A platform with user/ada as a developer of home, who has not signed in yet.
Scenario<State> WithAda() {
  Scenario<State> scenario = Platform();
  scenario.When(AddMember("home", kAda, v1::ROLE_DEVELOPER), rpc::TokenHash(Secret('l')), At(kNow))
      .ThenDone();
  return scenario;
}

v1::LoginRequest LoginWith(char secret) {
  v1::LoginRequest request;
  request.set_login_token(
      rpc::FormatOneTimeToken(rpc::kLoginPurpose, std::string(64, '0'), Secret(secret)));
  return request;
}

// As the gate lets her in with the token whose secret this is.
rpc::Caller Ada(char secret) {
  rpc::Caller caller;
  caller.principal = kAda;
  caller.person.emplace().set_name(kAda);
  caller.token_hash = rpc::TokenHash(Secret(secret));
  return caller;
}

rpc::Caller Admin() {
  rpc::Caller caller;
  caller.principal = "user/admin";
  caller.person.emplace().set_name("user/admin");
  caller.person->set_platform_admin(true);
  return caller;
}

rpc::Caller Host() {
  rpc::Caller caller;
  caller.principal = "host/alpha";
  caller.machine.emplace().set_org("home");
  return caller;
}

v1::Role RoleOf(const State& state, const std::string& principal, const std::string& org) {
  const v1::ListMembersResponse members = state.MembersOf(org);
  for (const v1::Member& member : members.members()) {
    if (member.principal() == principal) return member.role();
  }
  return v1::ROLE_UNSPECIFIED;
}

v1::CreateTokenRequest CreateToken(const std::string& name, int64_t lifetime_seconds) {
  v1::CreateTokenRequest request;
  request.set_name(name);
  request.mutable_lifetime()->set_seconds(lifetime_seconds);
  return request;
}

TEST_CASE("an org is made once, and whoever made it is its admin", "[auth][state]") {
  Scenario<State> scenario = Platform();
  v1::CreateOrgRequest request;
  request.set_org("acme");
  scenario.When(request, At(kNow))
      .Then({OrgCreated("acme"), RoleGiven("user/admin", "acme", v1::ROLE_ADMIN)});
  CHECK(scenario.state().HasOrg("acme"));
  CHECK(RoleOf(scenario.state(), "user/admin", "acme") == v1::ROLE_ADMIN);
  scenario.When(request, At(kNow)).ThenRefused(absl::StatusCode::kAlreadyExists, "acme");
  request.set_org("Acme Inc");
  scenario.When(request, At(kNow)).ThenRefused(absl::StatusCode::kInvalidArgument);
  scenario.CheckReplay();
}

TEST_CASE("everybody sees the orgs that they have to do with", "[auth][state]") {
  Scenario<State> scenario = WithAda();
  scenario.Given({OrgCreated("acme")});
  rpc::Caller ada = Ada('s');
  ada.person->add_bindings()->set_org("home");
  ada.person->mutable_bindings(0)->set_role(v1::ROLE_DEVELOPER);
  REQUIRE(scenario.state().OrgsOf(ada).orgs_size() == 1);
  CHECK(scenario.state().OrgsOf(ada).orgs(0).name() == "home");
  CHECK(scenario.state().OrgsOf(ada).orgs(0).role() == v1::ROLE_DEVELOPER);
  CHECK(scenario.state().OrgsOf(Admin()).orgs_size() == 2);
  REQUIRE(scenario.state().OrgsOf(Host()).orgs_size() == 1);
  CHECK(scenario.state().OrgsOf(Host()).orgs(0).name() == "home");
}

TEST_CASE("a person who is new gets a role and a login token", "[auth][state]") {
  Scenario<State> scenario = WithAda();
  CHECK(RoleOf(scenario.state(), kAda, "home") == v1::ROLE_DEVELOPER);
  CHECK(scenario.state().MembersOf("home").members(0).invited());
  SECTION("and signs in with it, once") {
    const auto outcome = scenario.When(LoginWith('l'), rpc::TokenHash(Secret('s')), At(kNow));
    CHECK(outcome.ThenDone().principal() == kAda);
    CHECK_FALSE(scenario.state().MembersOf("home").members(0).invited());
    scenario.When(LoginWith('l'), rpc::TokenHash(Secret('t')), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "used already");
  }
  SECTION("and signs in with it until it has expired") {
    const absl::Time end = kNow + State::kLoginTokenDuration;
    scenario.When(LoginWith('l'), rpc::TokenHash(Secret('s')), At(end))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "expired");
    scenario.When(LoginWith('l'), rpc::TokenHash(Secret('s')), At(end - absl::Seconds(1)))
        .ThenDone();
  }
  SECTION("and nobody signs in with another one, or with a join token") {
    scenario.When(LoginWith('x'), rpc::TokenHash(Secret('s')), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "not known");
    v1::LoginRequest request;
    request.set_login_token(JoinToken('l'));
    scenario.When(request, rpc::TokenHash(Secret('s')), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "malformed");
  }
  SECTION("and a further login token takes the place of the first") {
    v1::CreateLoginTokenRequest request;
    request.set_org("home");
    request.set_principal(kAda);
    rpc::Caller org_admin = Ada('o');
    scenario.When(request, rpc::TokenHash(Secret('m')), org_admin, At(kNow)).ThenDone();
    scenario.When(LoginWith('l'), rpc::TokenHash(Secret('s')), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "not known");
    scenario.When(LoginWith('m'), rpc::TokenHash(Secret('s')), At(kNow)).ThenDone();
  }
  scenario.CheckReplay();
}

TEST_CASE("a person who is known gets a role and no login token", "[auth][state]") {
  Scenario<State> scenario = WithAda();
  scenario.Given({OrgCreated("acme")});
  const std::string hash = rpc::TokenHash(Secret('x'));
  const auto outcome = scenario.When(AddMember("acme", kAda, v1::ROLE_ADMIN), hash, At(kNow));
  CHECK_FALSE(outcome.Then({RoleGiven(kAda, "acme", v1::ROLE_ADMIN)}).has_expire_time());
  CHECK(RoleOf(scenario.state(), kAda, "home") == v1::ROLE_DEVELOPER);
  CHECK(RoleOf(scenario.state(), kAda, "acme") == v1::ROLE_ADMIN);
  scenario.When(AddMember("acme", kAda, v1::ROLE_VIEWER), hash, At(kNow))
      .ThenRefused(absl::StatusCode::kAlreadyExists, kAda);
  scenario.CheckReplay();
}

TEST_CASE("members have a name and a role, and an org", "[auth][state]") {
  Scenario<State> scenario = Platform();
  const std::string hash = rpc::TokenHash(Secret('x'));
  const std::string name = GENERATE(as<std::string>(), "ada", "user/", "user/Ada", "host/ada", "");
  scenario.When(AddMember("home", name, v1::ROLE_VIEWER), hash, At(kNow))
      .ThenRefused(absl::StatusCode::kInvalidArgument);
  scenario.When(AddMember("home", kAda, v1::ROLE_UNSPECIFIED), hash, At(kNow))
      .ThenRefused(absl::StatusCode::kInvalidArgument, "role");
  scenario.When(AddMember("home", kAda, static_cast<v1::Role>(9)), hash, At(kNow))
      .ThenRefused(absl::StatusCode::kInvalidArgument, "role");
  scenario.When(AddMember("acme", kAda, v1::ROLE_VIEWER), hash, At(kNow))
      .ThenRefused(absl::StatusCode::kNotFound, "acme");
}

TEST_CASE("a role can be changed", "[auth][state]") {
  Scenario<State> scenario = WithAda();
  v1::SetRoleRequest request;
  request.set_org("home");
  request.set_principal(kAda);
  request.set_role(v1::ROLE_VIEWER);
  scenario.When(request).Then({RoleGiven(kAda, "home", v1::ROLE_VIEWER)});
  CHECK(RoleOf(scenario.state(), kAda, "home") == v1::ROLE_VIEWER);
  scenario.When(request).ThenNothing();
  request.set_principal("user/bob");
  scenario.When(request).ThenRefused(absl::StatusCode::kNotFound, "user/bob");
  request.set_principal(kAda);
  request.set_org("acme");
  scenario.When(request).ThenRefused(absl::StatusCode::kNotFound, kAda);
  scenario.CheckReplay();
}

TEST_CASE("whoever has no role left is gone with every token", "[auth][state]") {
  Scenario<State> scenario = WithAda();
  scenario.When(LoginWith('l'), rpc::TokenHash(Secret('s')), At(kNow)).ThenDone();
  v1::RemoveMemberRequest request;
  request.set_org("home");
  request.set_principal(kAda);
  const TopicKey session(State::kAccessTopic, "token/" + HexEncode(rpc::TokenHash(Secret('s'))));
  REQUIRE(scenario.state().View(session).has_value());
  SECTION("at once") {
    CHECK(scenario.When(request).ThenDone().gone());
    CHECK_FALSE(scenario.state().View(session).has_value());
    CHECK_FALSE(scenario.state().View({State::kAccessTopic, "principal/user/ada"}).has_value());
    scenario.When(request).ThenRefused(absl::StatusCode::kNotFound, kAda);
  }
  SECTION("but not while there is another one") {
    scenario.Given({OrgCreated("acme"), RoleGiven(kAda, "acme", v1::ROLE_VIEWER)});
    CHECK_FALSE(scenario.When(request).ThenDone().gone());
    CHECK(scenario.state().View(session).has_value());
    CHECK(RoleOf(scenario.state(), kAda, "home") == v1::ROLE_UNSPECIFIED);
    CHECK(RoleOf(scenario.state(), kAda, "acme") == v1::ROLE_VIEWER);
  }
  SECTION("unless they administer the platform") {
    request.set_principal("user/admin");
    CHECK_FALSE(scenario.When(request).ThenDone().gone());
    CHECK(scenario.state().View({State::kAccessTopic, "principal/user/admin"}).has_value());
  }
  scenario.CheckReplay();
}

TEST_CASE("an org's admin lets nobody sign in as somebody who may do more", "[auth][state]") {
  Scenario<State> scenario = WithAda();
  scenario.Given({OrgCreated("acme"), RoleGiven(kAda, "acme", v1::ROLE_ADMIN)});
  rpc::Caller org_admin = Ada('o');
  v1::CreateLoginTokenRequest request;
  request.set_org("home");
  const std::string hash = rpc::TokenHash(Secret('m'));
  request.set_principal(GENERATE(as<std::string>(), "user/ada", "user/admin"));
  scenario.When(request, hash, org_admin, At(kNow))
      .ThenRefused(absl::StatusCode::kPermissionDenied, request.principal());
  scenario.When(request, hash, Admin(), At(kNow)).ThenDone();
  request.set_principal("user/bob");
  scenario.When(request, hash, Admin(), At(kNow)).ThenRefused(absl::StatusCode::kNotFound);
}

TEST_CASE("a session makes tokens that end", "[auth][state]") {
  Scenario<State> scenario = WithAda();
  scenario.When(LoginWith('l'), rpc::TokenHash(Secret('s')), At(kNow)).ThenDone();
  const std::string hash = rpc::TokenHash(Secret('t'));
  SECTION("after the time that was asked for") {
    v1::CreateTokenRequest request = CreateToken("ci", 60);
    request.set_role(v1::ROLE_VIEWER);
    const auto outcome = scenario.When(request, hash, Ada('s'), At(kNow));
    CHECK(outcome.ThenDone().expire_time().seconds() == absl::ToUnixSeconds(kNow) + 60);
    CHECK(outcome.ThenDone().position() == 42);
    v1::Token token;
    const auto view = scenario.state().View({State::kAccessTopic, "token/" + HexEncode(hash)});
    REQUIRE(token.ParseFromString(view.value()));
    CHECK(token.principal() == kAda);
    CHECK(token.role() == v1::ROLE_VIEWER);
    SECTION("a name is given once") {
      scenario.When(request, rpc::TokenHash(Secret('u')), Ada('s'), At(kNow))
          .ThenRefused(absl::StatusCode::kAlreadyExists, "ci");
      scenario.When(request, rpc::TokenHash(Secret('u')), Ada('s'), At(kNow + absl::Seconds(60)))
          .ThenDone();
    }
    SECTION("a token makes no tokens, and ends none but itself") {
      const auto refused =
          scenario.state().Decide(CreateToken("more", 60), "hash", Ada('t'), At(kNow));
      CHECK(refused.status().code() == absl::StatusCode::kPermissionDenied);
      CHECK(ReasonOf(refused.status()) == reason::kSessionNeeded);
      v1::RevokeTokenRequest revoke;
      revoke.set_token(HexEncode(rpc::TokenHash(Secret('s')).substr(0, 8)));
      scenario.When(revoke, Ada('t')).ThenRefused(absl::StatusCode::kPermissionDenied);
      revoke.set_token("ci");
      scenario.When(revoke, Ada('t')).ThenDone();
    }
  }
  SECTION("after 30 days where nothing was asked for") {
    v1::CreateTokenRequest request;
    request.set_name("ci");
    const auto outcome = scenario.When(request, hash, Ada('s'), At(kNow));
    CHECK(outcome.ThenDone().expire_time().seconds() ==
          absl::ToUnixSeconds(kNow + State::kSessionDuration));
  }
  SECTION("after a year at most, and not at once") {
    const int64_t max = absl::ToInt64Seconds(State::kTokenDurationMax);
    const int64_t seconds =
        GENERATE_COPY(int64_t{0}, int64_t{-1}, max + 1, std::numeric_limits<int64_t>::max());
    scenario.When(CreateToken("ci", seconds), hash, Ada('s'), At(kNow))
        .ThenRefused(absl::StatusCode::kInvalidArgument, "365 days");
    v1::CreateTokenRequest half = CreateToken("ci", 1);
    half.mutable_lifetime()->set_nanos(500'000'000);
    scenario.When(half, hash, Ada('s'), At(kNow)).ThenRefused(absl::StatusCode::kInvalidArgument);
    scenario.When(CreateToken("ci", max), hash, Ada('s'), At(kNow)).ThenDone();
  }
  SECTION("with a name and a role that exist") {
    scenario.When(CreateToken("CI", 60), hash, Ada('s'), At(kNow))
        .ThenRefused(absl::StatusCode::kInvalidArgument, "token");
    v1::CreateTokenRequest request = CreateToken("ci", 60);
    request.set_role(static_cast<v1::Role>(7));
    scenario.When(request, hash, Ada('s'), At(kNow))
        .ThenRefused(absl::StatusCode::kInvalidArgument, "role");
  }
  SECTION("for people only") {
    scenario.When(CreateToken("ci", 60), hash, Host(), At(kNow))
        .ThenRefused(absl::StatusCode::kFailedPrecondition, "host/alpha");
  }
  scenario.CheckReplay();
}

TEST_CASE("a person has so many tokens at most, and can sign in all the same", "[auth][state]") {
  Scenario<State> scenario = WithAda();
  scenario.When(LoginWith('l'), rpc::TokenHash(Secret('s')), At(kNow)).ThenDone();
  for (size_t i = 1; i < State::kTokensMax; ++i) {
    scenario
        .When(CreateToken("ci-" + std::to_string(i), 60), rpc::TokenHash(std::to_string(i)),
              Ada('s'), At(kNow + absl::Seconds(1)))
        .ThenDone();
  }
  scenario.When(CreateToken("one-more", 60), std::string("hash"), Ada('s'), At(kNow))
      .ThenRefused(absl::StatusCode::kResourceExhausted, "100");
  v1::CreateLoginTokenRequest request;
  request.set_org("home");
  request.set_principal(kAda);
  scenario.When(request, rpc::TokenHash(Secret('m')), Admin(), At(kNow)).ThenDone();
  const auto outcome = scenario.When(LoginWith('m'), rpc::TokenHash(Secret('n')), At(kNow));
  outcome.ThenDone();
  REQUIRE(outcome.events().size() == 2);
  CHECK(outcome.events()[0].token_revoked().token_hash() == rpc::TokenHash(Secret('s')));
  CHECK(scenario.state().TokensOf(kAda, Admin())->tokens_size() ==
        static_cast<int>(State::kTokensMax));
}

TEST_CASE("tokens are shown to whose they are, and end at their word", "[auth][state]") {
  Scenario<State> scenario = WithAda();
  scenario.When(LoginWith('l'), rpc::TokenHash(Secret('s')), At(kNow)).ThenDone();
  scenario
      .When(CreateToken("ci", 60), rpc::TokenHash(Secret('t')), Ada('s'),
            At(kNow + absl::Seconds(1)))
      .ThenDone();
  const auto tokens = scenario.state().TokensOf("", Ada('s'));
  REQUIRE(tokens.ok());
  REQUIRE(tokens->tokens_size() == 2);
  CHECK(tokens->tokens(0).name().empty());
  CHECK(tokens->tokens(0).current());
  CHECK(tokens->tokens(1).name() == "ci");
  CHECK_FALSE(tokens->tokens(1).current());
  CHECK(scenario.state().TokensOf("user/admin", Ada('s')).status().code() ==
        absl::StatusCode::kPermissionDenied);
  CHECK(scenario.state().TokensOf(kAda, Admin())->tokens_size() == 2);
  CHECK(scenario.state().TokensOf("", Host()).status().code() ==
        absl::StatusCode::kFailedPrecondition);
  v1::RevokeTokenRequest request;
  SECTION("by name") {
    request.set_token("ci");
    scenario.When(request, Ada('s')).ThenDone();
    CHECK(scenario.state().TokensOf("", Ada('s'))->tokens_size() == 1);
    scenario.When(request, Ada('s')).ThenRefused(absl::StatusCode::kNotFound, "ci");
  }
  SECTION("by id") {
    request.set_token(tokens->tokens(1).id());
    scenario.When(request, Ada('s')).ThenDone();
    CHECK(scenario.state().TokensOf("", Ada('s'))->tokens_size() == 1);
  }
  SECTION("not by nothing, which is the name of every session") {
    scenario.When(request, Ada('s')).ThenRefused(absl::StatusCode::kInvalidArgument);
  }
  SECTION("not by somebody else's") {
    request.set_token("ci");
    request.set_principal("user/admin");
    scenario.When(request, Ada('s')).ThenRefused(absl::StatusCode::kPermissionDenied);
  }
  SECTION("by signing out") {
    scenario.When(v1::LogoutRequest(), Ada('s')).ThenDone();
    CHECK(scenario.state().TokensOf("", Ada('t'))->tokens_size() == 1);
    scenario.When(v1::LogoutRequest(), Ada('s')).ThenNothing();
    scenario.When(v1::LogoutRequest(), Host()).ThenRefused(absl::StatusCode::kFailedPrecondition);
  }
  scenario.CheckReplay();
}

TEST_CASE("what has expired is forgotten", "[auth][state]") {
  Scenario<State> scenario = WithAda();
  v1::LoginRequest login;
  login.set_bootstrap_token(kBootstrapToken);
  scenario.When(login, rpc::TokenHash(Secret('s')), At(kNow)).ThenDone();
  scenario.Given({JoinTokenCreated('j', v1::MACHINE_KIND_HOST, "alpha")});
  auto forget = [&scenario](absl::Time now) {
    const auto decided = scenario.state().ForgetExpired(At(now));
    REQUIRE(decided.ok());
    scenario.Given(decided->events);
    return decided->events.size();
  };
  CHECK(forget(kNow + State::kJoinTokenDuration - absl::Seconds(1)) == 0);
  CHECK(forget(kNow + State::kJoinTokenDuration) == 1);
  CHECK_FALSE(scenario.state().MembersOf("home").members(0).invited());
  CHECK(scenario.state().TokensOf("", Admin())->tokens_size() == 1);
  CHECK(forget(kNow + State::kSessionDuration) == 1);
  CHECK(scenario.state().TokensOf("", Admin())->tokens_size() == 0);
  CHECK(forget(kNow + State::kSessionDuration) == 0);
  const Machine machine;
  scenario.When(machine.Enrol('j'), machine.key(), At(kNow))
      .ThenRefused(absl::StatusCode::kPermissionDenied, "not known");
  scenario.CheckReplay();
}

}  // namespace
}  // namespace berth::auth
