#include "services/scheduler/explain.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>

#include "services/scheduler/model_fleet.h"

namespace berth::scheduler {
namespace {

using Catch::Contains;

constexpr char kFirst[] = "registry.example/notes@sha256:1";
constexpr char kSecond[] = "registry.example/notes@sha256:2";

// The answer: the last of the chain, after others that hold.
v1::Predicate Answer(const v1::WhyResponse& why) {
  REQUIRE(why.predicates_size() > 0);
  for (int i = 0; i + 1 < why.predicates_size(); ++i) REQUIRE(why.predicates(i).holds());
  const v1::Predicate& last = why.predicates(why.predicates_size() - 1);
  REQUIRE(last.holds() == why.converged());
  return last;
}

void CheckAnswer(const v1::WhyResponse& why, const std::string& id, const std::string& kind,
                 const std::string& name, const std::string& sentence) {
  const v1::Predicate answer = Answer(why);
  CHECK_FALSE(why.converged());
  CHECK(answer.id() == id);
  CHECK(answer.object().kind() == kind);
  CHECK(answer.object().name() == name);
  CHECK_THAT(answer.sentence(), Contains(sentence));
}

config::v1::Release WithReadyCheck(config::v1::Release release) {
  config::v1::Process& web = release.mutable_manifest()->mutable_processes()->at("web");
  web.mutable_ready()->mutable_tcp()->set_port("http");
  return release;
}

config::v1::Release Routed(config::v1::Release release) {
  config::v1::Route& route = (*release.mutable_manifest()->mutable_routes())["public"];
  route.mutable_to()->set_process("web");
  route.mutable_tcp()->set_port(7070);
  return release;
}

// The first release serves with two replicas on the host alpha.
struct Serving {
  Serving() {
    fleet.AddHost("alpha", 1000 * kMiB);
    fleet.Promote(Fleet::Release(kFirst, 2));
    fleet.RunUntilQuiet();
    REQUIRE(fleet.Why().converged());
  }

  // What is asked about after another release.
  void Promote(const config::v1::Release& release) {
    fleet.Promote(release);
    fleet.RunUntilQuiet();
  }

  // The end of whatever kept `release` from serving.
  void CheckConverges() {
    fleet.RunUntilQuiet();
    CHECK(fleet.Why().converged());
  }

  Fleet fleet;
};

TEST_CASE("all that holds is told from the command to the end", "[scheduler][explain]") {
  Serving serving;
  const v1::WhyResponse why = serving.fleet.Why();
  CHECK(why.converged());
  CHECK(why.ready() == 2);
  CHECK(why.predicates(0).id() == predicate::kEnvironmentKnown);
  CHECK(why.predicates(1).id() == predicate::kReleasePromoted);
  CHECK(why.predicates(1).object().name() == "1");
  CHECK(why.predicates(1).record().stream() == "config");
  CHECK(why.predicates(1).record().actor() == "user/admin");
  CHECK(Answer(why).id() == predicate::kRolloutDone);
}

TEST_CASE("a target is a process type or an instance", "[scheduler][explain]") {
  Serving serving;
  CHECK(serving.fleet.Why("web").ready() == 2);
  CHECK(serving.fleet.Why(*serving.fleet.Ids().begin()).ready() == 1);
  CHECK(Explain(serving.fleet.state(), serving.fleet.EnvironmentOf(), "worker", Heard(),
                serving.fleet.now())
            .status()
            .code() == absl::StatusCode::kNotFound);
}

TEST_CASE("a process that no host has memory for is told with the numbers",
          "[scheduler][explain]") {
  Serving serving;
  serving.Promote(Fleet::Release(kSecond, 2, Fleet::Process(2000 * kMiB)));
  CheckAnswer(serving.fleet.Why(), predicate::kHostFits, "process", "web",
              "alpha has 800 MiB of memory left of 1000 MiB, 2000 MiB are needed");
  const v1::Predicate answer = Answer(serving.fleet.Why());
  CHECK_THAT(answer.sentence(), Contains("release 2 failed"));
  CHECK_THAT(answer.sentence(), Contains("release 1 is to serve instead"));
  CHECK(answer.record().stream() == "scheduler");
  CHECK(answer.record().position() > 0);
  CHECK(serving.fleet.Why().predicates(1).object().name() == "2");
  serving.fleet.Promote(Fleet::Release(kSecond, 2));
  serving.CheckConverges();
}

TEST_CASE("an image that no host has is told of by its name", "[scheduler][explain]") {
  Serving serving;
  config::v1::Release release = Fleet::Release(kSecond, 2);
  release.set_image_is_local(true);
  serving.fleet.Promote(release);
  serving.fleet.Step();
  CheckAnswer(serving.fleet.Why(), predicate::kImagePresent, "image", kSecond,
              "alpha does not have the local image");
}

TEST_CASE("an image that cannot be fetched is not taken for an instance that fails",
          "[scheduler][explain]") {
  Serving serving;
  serving.fleet.Behave(kSecond, Behaviour::kStartsForEver);
  serving.fleet.Promote(Fleet::Release(kSecond, 2));
  serving.fleet.Step();
  std::string id;
  for (const auto& [each, instance] : serving.fleet.EnvironmentOf().instances) {
    if (instance.assignment.release() == 2) id = each;
  }
  v1::InstanceReport& report = serving.fleet.Report("alpha", id);
  SECTION("while it is tried again") {
    report.set_phase(v1::PHASE_PULLING);
    report.set_reason("registry.example does not answer");
    serving.fleet.Step();
    CheckAnswer(serving.fleet.Why(), predicate::kImagePresent, "image", kSecond,
                "registry.example does not answer");
    CHECK(Answer(serving.fleet.Why()).record().actor() == "host/alpha");
  }
  SECTION("once it is given up") {
    report.set_phase(v1::PHASE_FAILED);
    report.set_failure(v1::FAILURE_IMAGE);
    report.set_reason("no such manifest");
    serving.fleet.RunUntilQuiet();
    CheckAnswer(serving.fleet.Why(), predicate::kImagePresent, "image", kSecond,
                "no such manifest");
  }
}

TEST_CASE("a secret that is not set is told of by its name", "[scheduler][explain]") {
  Serving serving;
  config::v1::Release release = Fleet::Release(kSecond, 2);
  (*release.mutable_manifest()->mutable_processes())["web"].mutable_secrets()->add_names("api-key");
  serving.fleet.Promote(release);
  serving.fleet.RunUntilQuiet();
  CheckAnswer(serving.fleet.Why(), predicate::kSecretsExist, "secret", "api-key", "is not set");
  SECTION("also once the deadline has failed the rollout") {
    serving.fleet.Pass(kRolloutDeadline);
    serving.fleet.RunUntilQuiet();
    CheckAnswer(serving.fleet.Why(), predicate::kSecretsExist, "secret", "api-key",
                "release 2 failed");
  }
  SECTION("until it is set") {
    serving.fleet.SetSecrets({{"api-key", 1}});
    serving.CheckConverges();
  }
}

TEST_CASE("a host that is lost is told of while no other takes what it had",
          "[scheduler][explain]") {
  Serving serving;
  Fleet& fleet = serving.fleet;
  fleet.LoseHost("alpha");
  CheckAnswer(fleet.Why(), predicate::kHostPresent, "host", "alpha", "counts as lost");
  SECTION("until it is back") {
    fleet.ReturnHost("alpha");
    serving.CheckConverges();
  }
  SECTION("until another has taken it") {
    fleet.AddHost("beta", 1000 * kMiB);
    serving.CheckConverges();
  }
  SECTION("also by a release that came after") {
    fleet.Promote(Fleet::Release(kSecond, 2));
    fleet.Settle();
    CheckAnswer(fleet.Why(), predicate::kHostPresent, "host", "alpha", "alpha is lost");
  }
}

TEST_CASE("an agent that has stopped is told of before its host counts as lost",
          "[scheduler][explain]") {
  Serving serving;
  Fleet& fleet = serving.fleet;
  SECTION("once its stream has closed") {
    Heard heard = fleet.HeardNow();
    heard.connected.clear();
    const auto why = Explain(fleet.state(), fleet.EnvironmentOf(), "", heard, fleet.now());
    CheckAnswer(*why, predicate::kAgentReports, "host", "alpha", "is not connected");
  }
  SECTION("once it is stale") {
    fleet.LoseHost("alpha", v1::HOST_PRESENCE_STALE);
    CheckAnswer(fleet.Why(), predicate::kAgentReports, "host", "alpha", "the agent of host alpha");
    fleet.ReturnHost("alpha");
    serving.CheckConverges();
  }
}

TEST_CASE("an instance that its agent has not taken up is the host's", "[scheduler][explain]") {
  Serving serving;
  serving.fleet.Promote(Fleet::Release(kSecond, 2));
  serving.fleet.Settle();
  CheckAnswer(serving.fleet.Why(), predicate::kAgentApplied, "host", "alpha", "has not taken up");
  CHECK(Answer(serving.fleet.Why()).record().position() > 0);
}

TEST_CASE("a process that exits at once is told with its code and last words",
          "[scheduler][explain]") {
  Serving serving;
  Fleet& fleet = serving.fleet;
  fleet.Behave(kSecond, Behaviour::kFails);
  serving.Promote(Fleet::Release(kSecond, 2));
  const std::string failed = fleet.EnvironmentOf().failure->failed_instance().instance();
  CheckAnswer(fleet.Why(), predicate::kInstanceStarted, "instance", failed, "exited with 1");
  // Also asked by the name of what is gone.
  CheckAnswer(fleet.Why(failed), predicate::kInstanceStarted, "instance", failed, "exited with 1");
  fleet.Behave(kSecond, Behaviour::kBecomesReady);
  fleet.Promote(Fleet::Release(kSecond, 2));
  serving.CheckConverges();
}

TEST_CASE("an instance that has served and fails says that it is not started again",
          "[scheduler][explain]") {
  Serving serving;
  Fleet& fleet = serving.fleet;
  fleet.Behave(kFirst, Behaviour::kFails);
  const std::string id = *fleet.Ids().begin();
  fleet.Crash(id);
  for (int i = 0; i < 20; ++i) fleet.Step();
  CheckAnswer(fleet.Why(), predicate::kInstanceStarted, "instance", id,
              "after 3 failures in a row it is not started again");
  CHECK(fleet.Why().ready() == 1);
}

TEST_CASE("a ready check that does not pass is told with what it met", "[scheduler][explain]") {
  Serving serving;
  Fleet& fleet = serving.fleet;
  fleet.Behave(kSecond, Behaviour::kStartsForEver);
  fleet.Promote(WithReadyCheck(Fleet::Release(kSecond, 1)));
  fleet.Step();
  fleet.Step();
  const v1::Predicate answer = Answer(fleet.Why());
  CHECK(answer.id() == predicate::kProbePasses);
  const std::string id = answer.object().name();
  fleet.Report("alpha", id).set_reason("/healthz answered 404");
  fleet.Step();
  CheckAnswer(fleet.Why(), predicate::kProbePasses, "instance", id, "/healthz answered 404");
  SECTION("also once the deadline has failed the rollout") {
    fleet.Pass(kRolloutDeadline);
    fleet.RunUntilQuiet();
    CheckAnswer(fleet.Why(), predicate::kProbePasses, "instance", id, "/healthz answered 404");
    CHECK_THAT(Answer(fleet.Why()).sentence(), Contains("release 2 failed"));
  }
  SECTION("until it passes") {
    fleet.Report("alpha", id).set_phase(v1::PHASE_READY);
    serving.CheckConverges();
  }
}

TEST_CASE("what serves and has a trouble of its own is told before an old failure",
          "[scheduler][explain]") {
  Serving serving;
  Fleet& fleet = serving.fleet;
  fleet.Behave(kSecond, Behaviour::kFails);
  serving.Promote(Fleet::Release(kSecond, 2));
  CHECK(Answer(fleet.Why()).id() == predicate::kInstanceStarted);
  fleet.LoseHost("alpha");
  CHECK(Answer(fleet.Why()).id() == predicate::kHostPresent);
}

TEST_CASE("a first release that fails leaves nothing that serves", "[scheduler][explain]") {
  Fleet fleet;
  fleet.AddHost("alpha", 1000 * kMiB);
  fleet.Behave(kFirst, Behaviour::kFails);
  fleet.Promote(Fleet::Release(kFirst, 1));
  fleet.RunUntilQuiet();
  CHECK(Answer(fleet.Why()).id() == predicate::kInstanceStarted);
  CHECK_THAT(Answer(fleet.Why()).sentence(), Contains("nothing serves instead"));
  CHECK(fleet.Why().ready() == 0);
}

// The first release serves behind the edge near.
struct RoutedServing {
  RoutedServing() {
    fleet.AddHost("alpha", 1000 * kMiB);
    fleet.Promote(Routed(Fleet::Release(kFirst, 1)));
    fleet.AnswerRoutes();
    fleet.RunUntilQuiet();
    REQUIRE(fleet.Why().converged());
    id = *fleet.Ids().begin();
  }

  void CheckConverges() {
    fleet.RunUntilQuiet();
    CHECK(fleet.Why().converged());
  }

  Fleet fleet;
  Fleet::Edge& near = fleet.AddEdge("near");
  std::string id;
};

TEST_CASE("a route that somebody else has is told with whose it is", "[scheduler][explain]") {
  RoutedServing serving;
  Fleet& fleet = serving.fleet;
  fleet.Promote(Routed(Fleet::Release(kSecond, 1)));
  CheckAnswer(fleet.Why(), predicate::kRoutesAccepted, "route", "public", "has not answered");
  fleet.AnswerRoutes({{"public", "port 7070 belongs to acme/blog/production"}});
  fleet.Settle();
  CheckAnswer(fleet.Why(), predicate::kRoutesAccepted, "route", "public",
              "belongs to acme/blog/production");
  fleet.Step();
  fleet.AnswerRoutes();
  fleet.RunUntilQuiet();
  CheckAnswer(fleet.Why(), predicate::kRoutesAccepted, "route", "public",
              "belongs to acme/blog/production");
  fleet.Promote(Routed(Fleet::Release(kSecond, 1)));
  fleet.AnswerRoutes();
  serving.CheckConverges();
}

TEST_CASE("an edge is told of that is silent, cannot listen, lags behind or reaches nothing",
          "[scheduler][explain]") {
  RoutedServing serving;
  Fleet& fleet = serving.fleet;
  SECTION("silent") {
    serving.near.connected = false;
    CheckAnswer(fleet.Why(), predicate::kEdgeReports, "edge", "near", "has not reported for 15s");
    serving.near.connected = true;
    serving.CheckConverges();
  }
  SECTION("never heard") {
    fleet.AddEdge("far");
    CheckAnswer(fleet.Why(), predicate::kEdgeReports, "edge", "far", "edge far has not reported");
    serving.CheckConverges();
  }
  SECTION("cannot listen") {
    Heard heard = fleet.HeardNow();
    (*heard.edges["near"].mutable_listener_problems())[7070] = "another program has it";
    const auto why = Explain(fleet.state(), fleet.EnvironmentOf(), "", heard, fleet.now());
    CheckAnswer(*why, predicate::kEdgeListens, "edge-port", "near:7070", "another program has it");
  }
  SECTION("cannot listen on a port that is no route's of it") {
    Heard heard = fleet.HeardNow();
    (*heard.edges["near"].mutable_listener_problems())[7071] = "another program has it";
    CHECK(Explain(fleet.state(), fleet.EnvironmentOf(), "", heard, fleet.now())->converged());
  }
  SECTION("lags behind") {
    Heard heard = fleet.HeardNow();
    heard.edges["near"].mutable_applied()->set_position(1);
    const auto why = Explain(fleet.state(), fleet.EnvironmentOf(), "", heard, fleet.now());
    CheckAnswer(*why, predicate::kEdgeApplied, "edge", "near", "does not know yet");
  }
  SECTION("reaches nothing") {
    serving.near.not_reached = {serving.id};
    fleet.Step();
    const v1::WhyResponse why = fleet.Why();
    CheckAnswer(why, predicate::kEndpointReached, "host", "alpha",
                "edge near could connect to no instance on host alpha");
    serving.near.not_reached.clear();
    serving.CheckConverges();
  }
}

TEST_CASE("an edge that never takes up a release is what failed it", "[scheduler][explain]") {
  RoutedServing serving;
  Fleet& fleet = serving.fleet;
  serving.near.connected = false;
  fleet.Promote(Routed(Fleet::Release(kSecond, 1)));
  fleet.AnswerRoutes();
  for (int i = 0; i < 5; ++i) fleet.Step();
  fleet.Pass(kRolloutDeadline);
  CHECK(fleet.EnvironmentOf().failure->cause().id() == predicate::kEdgeApplied);
}

TEST_CASE("an update that only needs time says what it waits for", "[scheduler][explain]") {
  RoutedServing serving;
  Fleet& fleet = serving.fleet;
  SECTION("that new instances have been ready for long enough") {
    config::v1::Process process = Fleet::Process();
    process.mutable_update()->mutable_min_healthy()->set_seconds(60);
    fleet.Promote(Routed(Fleet::Release(kSecond, 1, process)));
    fleet.AnswerRoutes();
    for (int i = 0; i < 3; ++i) fleet.Step();
    CHECK(Answer(fleet.Why()).id() == predicate::kReadyLongEnough);
    CHECK_THAT(Answer(fleet.Why()).sentence(), Contains("for another 59s"));
  }
  SECTION("that connections to old ones end") {
    serving.near.connections[serving.id] = 1;
    fleet.Promote(Routed(Fleet::Release(kSecond, 1)));
    fleet.AnswerRoutes();
    for (int i = 0; i < 4; ++i) fleet.Step();
    CheckAnswer(fleet.Why(), predicate::kOldDrained, "instance", serving.id,
                "still has connections");
    serving.near.connections.clear();
    serving.CheckConverges();
  }
}

}  // namespace
}  // namespace berth::scheduler
