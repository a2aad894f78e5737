#include "services/auth/state.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "services/auth/model_platform.h"

namespace berth::auth {
namespace {

TEST_CASE("a platform is made once", "[auth][state]") {
  Scenario<State> scenario(ReadTopic);
  CHECK_FALSE(scenario.state().initialised());
  const auto made = scenario.state().Initialise(kUlaPrefix, "hash", {{"row", "value"}});
  REQUIRE(made.ok());
  CHECK(made->rows.size() == 1);
  scenario.Given(made->events);
  CHECK(scenario.state().initialised());
  CHECK(scenario.state().HasOrg("home"));
  const auto again = scenario.state().Initialise("\xfd", "hash", {{"row", "other"}});
  REQUIRE(again.ok());
  CHECK(again->events.empty());
  CHECK(again->rows.empty());
  scenario.CheckReplay();
}

TEST_CASE("the bootstrap token signs in as the administrator", "[auth][state]") {
  Scenario<State> scenario = Platform();
  v1::LoginRequest request;
  SECTION("the right one") {
    request.set_bootstrap_token(kBootstrapToken);
    const auto outcome = scenario.When(request, std::string("token hash"), At(kNow));
    const v1::LoginResponse& response = outcome.ThenDone();
    CHECK(response.principal() == "user/admin");
    CHECK(response.position() == 42);
    CHECK(response.expire_time().seconds() == absl::ToUnixSeconds(kNow + State::kSessionDuration));
    REQUIRE(outcome.events().size() == 1);
    CHECK(outcome.events()[0].token_issued().token_hash() == "token hash");
    scenario.CheckReplay();
  }
  SECTION("another one") {
    request.set_bootstrap_token(std::string(kBootstrapToken) + "x");
    scenario.When(request, std::string("token hash"), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "bootstrap token");
  }
  SECTION("an empty one") {
    request.set_bootstrap_token("");
    scenario.When(request, std::string("token hash"), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied);
  }
  SECTION("none") {
    scenario.When(request, std::string("token hash"), At(kNow))
        .ThenRefused(absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("another bootstrap token takes the place of the one before", "[auth][state]") {
  Scenario<State> scenario = Platform();
  const auto again = scenario.state().Initialise(kUlaPrefix, Blake2b256({"berth_other"}), {});
  REQUIRE(again.ok());
  REQUIRE(again->events.size() == 1);
  CHECK(again->rows.empty());
  scenario.Given(again->events);
  v1::LoginRequest request;
  request.set_bootstrap_token(kBootstrapToken);
  scenario.When(request, std::string("token hash"), At(kNow))
      .ThenRefused(absl::StatusCode::kPermissionDenied, "bootstrap token");
  request.set_bootstrap_token("berth_other");
  scenario.When(request, std::string("token hash"), At(kNow)).ThenDone();
  scenario.CheckReplay();
}

TEST_CASE("a platform that is not made yet signs nobody in", "[auth][state]") {
  Scenario<State> scenario(ReadTopic);
  v1::LoginRequest request;
  request.set_bootstrap_token("");
  scenario.When(request, std::string("token hash"), At(kNow))
      .ThenRefused(absl::StatusCode::kPermissionDenied);
}

TEST_CASE("a join token is for a host or an edge of an org that there is", "[auth][state]") {
  Scenario<State> scenario = Platform();
  v1::CreateJoinTokenRequest request;
  request.set_org("home");
  request.set_kind(v1::MACHINE_KIND_HOST);
  request.set_name("alpha");
  const std::string hash = rpc::TokenHash(Secret('a'));
  SECTION("as asked") {
    scenario.When(request, hash, At(kNow))
        .Then({JoinTokenCreated('a', v1::MACHINE_KIND_HOST, "alpha")});
    scenario.CheckReplay();
  }
  SECTION("of another kind") {
    request.set_kind(GENERATE(v1::MACHINE_KIND_UNSPECIFIED, v1::MACHINE_KIND_SERVICE));
    scenario.When(request, hash, At(kNow)).ThenRefused(absl::StatusCode::kInvalidArgument);
  }
  SECTION("of a name that is none") {
    request.set_name(GENERATE(as<std::string>(), "", "Alpha", "al_pha", "-a", "a-", "1a", "a.b"));
    scenario.When(request, hash, At(kNow)).ThenRefused(absl::StatusCode::kInvalidArgument);
  }
  SECTION("of another org") {
    request.set_org("globex");
    scenario.When(request, hash, At(kNow)).ThenRefused(absl::StatusCode::kNotFound, "globex");
  }
  SECTION("of a name that is a member's") {
    const Machine machine;
    scenario.Given({JoinTokenCreated('b', v1::MACHINE_KIND_HOST, "alpha")});
    scenario.When(machine.Enrol('b'), machine.key(), At(kNow)).ThenDone();
    scenario.When(request, hash, At(kNow)).ThenRefused(absl::StatusCode::kAlreadyExists, "alpha");
    request.set_kind(v1::MACHINE_KIND_EDGE);
    scenario.When(request, hash, At(kNow)).ThenDone();
  }
}

TEST_CASE("a machine joins once with its join token", "[auth][state]") {
  const Machine machine;
  Scenario<State> scenario = Platform();
  scenario.Given({JoinTokenCreated('a', v1::MACHINE_KIND_HOST, "alpha")});
  const v1::EnrolRequest request = machine.Enrol('a');
  SECTION("and becomes a member with its keys pinned") {
    const auto outcome = scenario.When(request, machine.key(), At(kNow));
    const v1::Machine& member = outcome.ThenDone().machine();
    CHECK(member.name() == "alpha");
    CHECK(member.org() == "home");
    CHECK(member.status() == v1::MACHINE_STATUS_ACTIVE);
    CHECK(member.keys().identity() == machine.key());
    REQUIRE(scenario.state().FindMachine(v1::MACHINE_KIND_HOST, "alpha") != nullptr);
    CHECK(PrincipalOf(member) == "host/alpha");
    REQUIRE(scenario.state().MachinesOf("home").size() == 1);
    CHECK(scenario.state().MachinesOf("globex").empty());
    SECTION("a repeat with the same keys gets the same answer, even later") {
      const absl::Time later = kNow + 2 * State::kJoinTokenDuration;
      const auto repeat = scenario.When(request, machine.key(), At(later));
      CHECK(repeat.ThenNothing().machine().prefix() == member.prefix());
    }
    SECTION("another machine comes too late") {
      const Machine other;
      scenario.When(other.Enrol('a'), other.key(), At(kNow))
          .ThenRefused(absl::StatusCode::kPermissionDenied, "used");
    }
    SECTION("the same identity with other keys is another machine") {
      const Machine other;
      v1::EnrolRequest mixed = request;
      mixed.mutable_keys()->set_sealing(other.Enrol('a').keys().sealing());
      mixed.mutable_keys()->set_sealing_signature(other.Enrol('a').keys().sealing_signature());
      scenario.When(mixed, machine.key(), At(kNow)).ThenRefused(absl::StatusCode::kInvalidArgument);
    }
    SECTION("its key joins under no other name") {
      scenario.Given({JoinTokenCreated('b', v1::MACHINE_KIND_EDGE, "beta")});
      scenario.When(machine.Enrol('b'), machine.key(), At(kNow))
          .ThenRefused(absl::StatusCode::kAlreadyExists);
    }
    SECTION("another token for the name is worth nothing any more") {
      const Machine other;
      scenario.Given({JoinTokenCreated('b', v1::MACHINE_KIND_HOST, "alpha")});
      scenario.When(other.Enrol('b'), other.key(), At(kNow))
          .ThenRefused(absl::StatusCode::kPermissionDenied, "joined meanwhile");
    }
    scenario.CheckReplay();
  }
  SECTION("until the token has expired") {
    const absl::Time end = kNow + State::kJoinTokenDuration;
    scenario.When(request, machine.key(), At(end))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "expired");
    scenario.When(request, machine.key(), At(end - absl::Seconds(1))).ThenDone();
  }
  SECTION("not without proof of its key over TLS") {
    const Machine other;
    scenario.When(request, std::string(), At(kNow)).ThenRefused(absl::StatusCode::kInvalidArgument);
    scenario.When(request, other.key(), At(kNow)).ThenRefused(absl::StatusCode::kInvalidArgument);
  }
  SECTION("not with keys that it did not sign") {
    v1::EnrolRequest forged = request;
    const Machine other;
    SECTION("for the mesh") {
      forged.mutable_keys()->set_wireguard(other.identity.public_keys().wireguard);
    }
    SECTION("for sealing") {
      forged.mutable_keys()->set_sealing(other.identity.public_keys().sealing);
    }
    SECTION("at all") { forged.mutable_keys()->clear_wireguard_signature(); }
    scenario.When(forged, machine.key(), At(kNow)).ThenRefused(absl::StatusCode::kInvalidArgument);
  }
  SECTION("not with a token that is unknown or none") {
    v1::EnrolRequest other = machine.Enrol('z');
    scenario.When(other, machine.key(), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "not known");
    other.set_join_token("berth_nonsense");
    scenario.When(other, machine.key(), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "malformed");
  }
}

TEST_CASE("every host gets a /64 of its own inside the platform's /48", "[auth][state]") {
  Scenario<State> scenario = Platform();
  std::set<std::string> prefixes;
  for (char i = 0; i < 5; ++i) {
    const Machine machine;
    const char secret = static_cast<char>('a' + i);
    scenario.Given(
        {JoinTokenCreated(secret, v1::MACHINE_KIND_HOST, std::string("host-") + secret)});
    const auto outcome = scenario.When(machine.Enrol(secret), machine.key(), At(kNow));
    const std::string prefix = outcome.ThenDone().machine().prefix();
    CHECK(prefix.size() == 8);
    CHECK(absl::StartsWith(prefix, kUlaPrefix));
    CHECK(prefixes.insert(prefix).second);
  }
  const Machine edge;
  scenario.Given({JoinTokenCreated('x', v1::MACHINE_KIND_EDGE, "edge")});
  const auto outcome = scenario.When(edge.Enrol('x'), edge.key(), At(kNow));
  CHECK(outcome.ThenDone().machine().prefix().empty());
  scenario.CheckReplay();
}

TEST_CASE("the last host number is given out once", "[auth][state]") {
  Scenario<State> scenario = Platform();
  v1::Event enrolled;
  enrolled.mutable_machine_enrolled()->mutable_machine()->set_kind(v1::MACHINE_KIND_HOST);
  enrolled.mutable_machine_enrolled()->mutable_machine()->set_name("last");
  enrolled.mutable_machine_enrolled()->set_host_number(State::kHostNumberMax);
  scenario.Given({enrolled, JoinTokenCreated('a', v1::MACHINE_KIND_HOST, "alpha")});
  const Machine machine;
  scenario.When(machine.Enrol('a'), machine.key(), At(kNow))
      .ThenRefused(absl::StatusCode::kResourceExhausted, "65535");
}

TEST_CASE("a service of Berth's own gets a join token until it is a member", "[auth][state]") {
  Scenario<State> scenario = Platform();
  const auto made =
      scenario.state().CreateServiceJoinToken("scheduler", rpc::TokenHash(Secret('s')), At(kNow));
  REQUIRE(made.ok());
  REQUIRE(made->events.size() == 1);
  CHECK(made->response.has_expire_time());
  scenario.Given(made->events);
  const Machine machine;
  const auto outcome = scenario.When(machine.Enrol('s'), machine.key(), At(kNow));
  CHECK(PrincipalOf(outcome.ThenDone().machine()) == "service/scheduler");
  const auto again = scenario.state().CreateServiceJoinToken("scheduler", "hash", At(kNow));
  REQUIRE(again.ok());
  CHECK(again->events.empty());
  CHECK_FALSE(again->response.has_expire_time());
}

TEST_CASE("every state of auth that was ever saved is taken up", "[auth][stored]") {
  testing::CheckStoredStates<State>("auth");
}

}  // namespace
}  // namespace berth::auth
