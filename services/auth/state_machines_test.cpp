#include <catch2/catch.hpp>
#include <string>

#include "common/status/error_details.h"
#include "services/auth/model_platform.h"

namespace berth::auth {
namespace {

// A platform with the host alpha.
struct WithHost {
  WithHost() {
    scenario.Given({JoinTokenCreated('a', v1::MACHINE_KIND_HOST, "alpha")});
    scenario.When(machine.Enrol('a'), machine.key(), At(kNow)).ThenDone();
  }

  const v1::Machine& host() const {
    return *scenario.state().FindMachine(v1::MACHINE_KIND_HOST, "alpha");
  }

  // A join token for new keys of the host.
  void AskForNewKeys(char secret) {
    v1::CreateJoinTokenRequest request;
    request.set_org("home");
    request.set_kind(v1::MACHINE_KIND_HOST);
    request.set_name("alpha");
    request.set_new_keys(true);
    scenario.When(request, rpc::TokenHash(Secret(secret)), At(kNow)).ThenDone();
  }

  v1::ApproveMachineRequest Approve(const std::string& identity) const {
    v1::ApproveMachineRequest request;
    request.set_org("home");
    request.set_kind(v1::MACHINE_KIND_HOST);
    request.set_name("alpha");
    request.set_identity(identity);
    return request;
  }

  Machine machine;
  Scenario<State> scenario = Platform();
};

// The new machine's keys, as the old machine's owner says that they are.
v1::EnrolRequest SignedBy(const Machine& old_machine, const Machine& new_machine) {
  v1::EnrolRequest request = new_machine.Enrol('x');
  request.clear_join_token();
  request.set_previous_identity(old_machine.key());
  request.set_previous_signature(
      old_machine.identity.signing_key().Sign(kNewIdentityPurpose + new_machine.key()));
  return request;
}

TEST_CASE("a member's new keys count with a join token that is for them", "[auth][state]") {
  WithHost platform;
  const Machine other;
  platform.AskForNewKeys('n');
  const auto outcome =
      platform.scenario.When(other.Enrol('n'), other.key(), At(kNow + absl::Hours(1)));
  const v1::Machine& changed = outcome.ThenDone().machine();
  CHECK(changed.name() == "alpha");
  CHECK(changed.status() == v1::MACHINE_STATUS_UNKNOWN);
  CHECK(changed.keys().identity() == other.key());
  CHECK(changed.previous_identity() == platform.machine.key());
  CHECK(platform.host().status() == v1::MACHINE_STATUS_UNKNOWN);
  SECTION("once; a repeat gets the same answer") {
    platform.scenario.When(other.Enrol('n'), other.key(), At(kNow)).ThenNothing();
    const Machine third;
    const auto refused =
        platform.scenario.state().Decide(third.Enrol('n'), third.key(), At(kNow)).status();
    CHECK(refused.code() == absl::StatusCode::kPermissionDenied);
    CHECK(ReasonOf(refused) == reason::kKeyChanged);
  }
  SECTION("and the old ones are nobody's") {
    CHECK_FALSE(platform.scenario.state()
                    .View({State::kAccessTopic, "machine/" + HexEncode(platform.machine.key())})
                    .has_value());
  }
  SECTION("and a person approves the very key that is claimed") {
    platform.scenario.When(platform.Approve(platform.machine.key()))
        .ThenRefused(absl::StatusCode::kFailedPrecondition, "another key");
    platform.scenario.When(platform.Approve(other.key())).ThenDone();
    CHECK(platform.host().status() == v1::MACHINE_STATUS_ACTIVE);
    CHECK(platform.host().previous_identity().empty());
    CHECK(platform.host().prefix().size() == 8);
    platform.scenario.When(platform.Approve(other.key())).ThenNothing();
  }
  SECTION("and through further changes the key that was trusted last is remembered") {
    const Machine third;
    platform.AskForNewKeys('o');
    platform.scenario.When(third.Enrol('o'), third.key(), At(kNow)).ThenDone();
    CHECK(platform.host().keys().identity() == third.key());
    CHECK(platform.host().previous_identity() == platform.machine.key());
  }
  platform.scenario.CheckReplay();
}

TEST_CASE("a member's new keys count where its own key signed them", "[auth][state]") {
  WithHost platform;
  const Machine other;
  SECTION("as it should") {
    platform.scenario.When(SignedBy(platform.machine, other), other.key(), At(kNow)).ThenDone();
    CHECK(platform.host().status() == v1::MACHINE_STATUS_UNKNOWN);
    CHECK(platform.host().keys().identity() == other.key());
    // Asked again, as the answer may have been lost.
    platform.scenario.When(SignedBy(platform.machine, other), other.key(), At(kNow)).ThenNothing();
  }
  SECTION("not where somebody else did") {
    v1::EnrolRequest request = SignedBy(other, other);
    request.set_previous_identity(platform.machine.key());
    platform.scenario.When(request, other.key(), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "not signed");
  }
  SECTION("not where it signed other keys") {
    const Machine third;
    v1::EnrolRequest request = third.Enrol('x');
    const v1::EnrolRequest signed_keys = SignedBy(platform.machine, other);
    request.set_previous_identity(signed_keys.previous_identity());
    request.set_previous_signature(signed_keys.previous_signature());
    platform.scenario.When(request, third.key(), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "not signed");
  }
  SECTION("not where it is no member") {
    const Machine stranger;
    platform.scenario.When(SignedBy(stranger, other), other.key(), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "member");
  }
  SECTION("not where they are another member's") {
    platform.scenario.Given({JoinTokenCreated('b', v1::MACHINE_KIND_EDGE, "beta")});
    platform.scenario.When(other.Enrol('b'), other.key(), At(kNow)).ThenDone();
    platform.scenario.When(SignedBy(platform.machine, other), other.key(), At(kNow))
        .ThenRefused(absl::StatusCode::kAlreadyExists);
  }
  platform.scenario.CheckReplay();
}

TEST_CASE("other keys under a member's name change nothing", "[auth][state]") {
  WithHost platform;
  const Machine other;
  // A token from before the host joined, and the one that it joined with.
  platform.scenario.Given({JoinTokenCreated('b', v1::MACHINE_KIND_HOST, "alpha")});
  const char secret = GENERATE('a', 'b');
  const auto refused =
      platform.scenario.state().Decide(other.Enrol(secret), other.key(), At(kNow)).status();
  CHECK(refused.code() == absl::StatusCode::kPermissionDenied);
  CHECK(ReasonOf(refused) == reason::kKeyChanged);
}

TEST_CASE("a join token for new keys is a member's", "[auth][state]") {
  WithHost platform;
  v1::CreateJoinTokenRequest request;
  request.set_org("home");
  request.set_kind(v1::MACHINE_KIND_HOST);
  request.set_name("beta");
  request.set_new_keys(true);
  platform.scenario.When(request, std::string("hash"), At(kNow))
      .ThenRefused(absl::StatusCode::kNotFound, "beta");
  SECTION("and worth nothing once the member was removed") {
    platform.AskForNewKeys('n');
    v1::RemoveMachineRequest remove;
    remove.set_org("home");
    remove.set_kind(v1::MACHINE_KIND_HOST);
    remove.set_name("alpha");
    platform.scenario.When(remove).ThenDone();
    const Machine other;
    platform.scenario.When(other.Enrol('n'), other.key(), At(kNow))
        .ThenRefused(absl::StatusCode::kPermissionDenied, "not known");
  }
}

TEST_CASE("so many join tokens wait at most", "[auth][state]") {
  Scenario<State> scenario = Platform();
  v1::CreateJoinTokenRequest request;
  request.set_org("home");
  request.set_kind(v1::MACHINE_KIND_HOST);
  request.set_name("alpha");
  for (size_t i = 0; i < State::kJoinTokensMax; ++i) {
    scenario.Given(scenario.state().Decide(request, std::to_string(i), At(kNow))->events);
  }
  scenario.When(request, std::string("one more"), At(kNow))
      .ThenRefused(absl::StatusCode::kResourceExhausted, "1000");
}

TEST_CASE("a machine that is removed is nobody at once", "[auth][state]") {
  WithHost platform;
  v1::RemoveMachineRequest request;
  request.set_org("home");
  request.set_kind(v1::MACHINE_KIND_HOST);
  request.set_name("alpha");
  SECTION("whoever it was") {
    platform.scenario.When(request).ThenDone();
    CHECK(platform.scenario.state().MachinesOf("home").empty());
    CHECK_FALSE(platform.scenario.state()
                    .View({State::kAccessTopic, "machine/" + HexEncode(platform.machine.key())})
                    .has_value());
    CHECK_FALSE(platform.scenario.state().View({State::kMachinesTopic, "host/alpha"}).has_value());
    SECTION("and joins with a new token only, under a prefix of its own") {
      platform.scenario.When(platform.machine.Enrol('a'), platform.machine.key(), At(kNow))
          .ThenRefused(absl::StatusCode::kPermissionDenied);
      platform.scenario.Given({JoinTokenCreated('c', v1::MACHINE_KIND_HOST, "alpha")});
      const auto outcome =
          platform.scenario.When(platform.machine.Enrol('c'), platform.machine.key(), At(kNow));
      CHECK(outcome.ThenDone().machine().prefix().back() == 2);
    }
  }
  SECTION("by an admin of its org") {
    request.set_org("acme");
    platform.scenario.When(request).ThenRefused(absl::StatusCode::kNotFound, "alpha");
  }
  SECTION("under its name and kind") {
    request.set_kind(v1::MACHINE_KIND_EDGE);
    platform.scenario.When(request).ThenRefused(absl::StatusCode::kNotFound, "edge alpha");
    request.set_kind(v1::MACHINE_KIND_SERVICE);
    platform.scenario.When(request).ThenRefused(absl::StatusCode::kInvalidArgument);
  }
  platform.scenario.CheckReplay();
}

TEST_CASE("a service is where it says it is, and where auth is when it says so", "[auth][state]") {
  Scenario<State> scenario = Platform();
  const Machine machine;
  scenario.Given({JoinTokenCreated('a', v1::MACHINE_KIND_SERVICE, "scheduler")});
  scenario.When(machine.Enrol('a'), machine.key(), At(kNow)).ThenDone();
  auto address = [&scenario] { return scenario.state().Services().services(0).address(); };
  DecisionContext context = At(kNow);
  context.principal = "service/scheduler";
  v1::AnnounceServiceRequest request;
  request.set_address("[fd00::1]:7445");
  scenario.When(request, context).ThenDone();
  REQUIRE(scenario.state().Services().services_size() == 1);
  CHECK(scenario.state().Services().services(0).service() == "scheduler");
  CHECK(scenario.state().Services().services(0).identity() == machine.key());
  CHECK(address() == "[fd00::1]:7445");
  SECTION("said again, nothing is new") { scenario.When(request, context).ThenNothing(); }
  SECTION("it moves") {
    request.set_address("b.example.com:7445");
    scenario.When(request, context).ThenDone();
    CHECK(address() == "b.example.com:7445");
    request.set_address("");
    scenario.When(request, context).ThenDone();
    CHECK(address().empty());
    scenario.When(request, context).ThenNothing();
  }
  SECTION("nobody could reach it there") {
    request.set_address(GENERATE("b.example.com", ":7445", "b.example.com:0"));
    scenario.When(request, context).ThenRefused(absl::StatusCode::kInvalidArgument);
  }
  scenario.CheckReplay();
}

}  // namespace
}  // namespace berth::auth
