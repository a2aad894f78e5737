#include "services/scheduler/reconcile.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "services/scheduler/model_fleet.h"

namespace berth::scheduler {
namespace {

using Catch::Contains;

constexpr char kFirst[] = "registry.example/notes@sha256:1";
constexpr char kSecond[] = "registry.example/notes@sha256:2";

// Two hosts with room for ten instances each.
Fleet TwoHosts() {
  Fleet fleet;
  fleet.AddHost("alpha", 1000 * kMiB);
  fleet.AddHost("beta", 1000 * kMiB);
  return fleet;
}

// `replicas` instances of kFirst, all ready.
Fleet Deployed(uint32_t replicas) {
  Fleet fleet = TwoHosts();
  fleet.Promote(Fleet::Release(kFirst, replicas));
  fleet.RunUntilQuiet();
  REQUIRE(fleet.Serving() == replicas);
  return fleet;
}

TEST_CASE("a first deploy starts all replicas at once, spread over the hosts",
          "[scheduler][reconcile]") {
  Fleet fleet = TwoHosts();
  fleet.Promote(Fleet::Release(kFirst, 4));
  fleet.Settle();
  CHECK(fleet.Running() == 4);
  CHECK(fleet.state().hosts().at("alpha").instances.size() == 2);
  CHECK(fleet.state().hosts().at("beta").instances.size() == 2);
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
  fleet.RunUntilQuiet();
  CHECK(fleet.Serving() == 4);
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  CHECK(fleet.CurrentRelease() == 1);
  fleet.scenario().CheckReplay();
}

TEST_CASE("replicas that need not be spread go where there is most room",
          "[scheduler][reconcile]") {
  Fleet fleet;
  fleet.AddHost("alpha", 1000 * kMiB);
  fleet.AddHost("beta", 100'000 * kMiB);
  config::v1::Process process = Fleet::Process();
  process.mutable_placement()->set_spread(config::v1::SPREAD_NONE);
  fleet.Promote(Fleet::Release(kFirst, 4, process));
  fleet.RunUntilQuiet();
  CHECK(fleet.Serving() == 4);
  CHECK(fleet.state().hosts().at("beta").instances.size() >= 3);
}

TEST_CASE("what needs a label is placed on hosts that have it, and stays when they lose it",
          "[scheduler][reconcile]") {
  Fleet fleet = TwoHosts();
  config::v1::Process process = Fleet::Process();
  (*process.mutable_placement()->mutable_require())["disk"] = "ssd";
  fleet.Promote(Fleet::Release(kFirst, 2, process));
  fleet.RunUntilQuiet();
  REQUIRE(fleet.RolloutFailures().size() == 1);
  CHECK_THAT(fleet.RolloutFailures().front(), Contains("beta has no label disk=ssd"));
  fleet.LabelHost("beta", {{"disk", "ssd"}});
  fleet.Promote(Fleet::Release(kFirst, 2, process));
  fleet.RunUntilQuiet();
  CHECK(fleet.Serving() == 2);
  CHECK(fleet.state().hosts().at("beta").instances.size() == 2);
  fleet.LabelHost("beta", {{"disk", "hdd"}});
  fleet.RunUntilQuiet();
  CHECK(fleet.Serving() == 2);
}

TEST_CASE(
    "a rolling update never serves with fewer than all replicas, nor runs more than the surge",
    "[scheduler][reconcile]") {
  const uint32_t replicas = GENERATE(1u, 3u, 5u);
  const uint32_t surge = GENERATE(1u, 2u);
  Fleet fleet = Deployed(replicas);
  const std::set<std::string> before = fleet.Ids();
  config::v1::Process process = Fleet::Process();
  process.mutable_update()->set_max_surge(surge);
  fleet.Promote(Fleet::Release(kSecond, replicas, process));
  fleet.RunUntilQuiet([&] {
    REQUIRE(fleet.Serving() >= replicas);
    REQUIRE(fleet.Running() <= replicas + surge);
  });
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  CHECK(fleet.Ids().size() == replicas);
  for (const std::string& id : fleet.Ids()) CHECK_FALSE(before.contains(id));
  fleet.scenario().CheckReplay();
}

TEST_CASE("an update stop-first keeps all but max_unavailable serving", "[scheduler][reconcile]") {
  Fleet fleet = Deployed(3);
  config::v1::Process process = Fleet::Process();
  process.mutable_update()->set_max_surge(0);
  process.mutable_update()->set_max_unavailable(1);
  fleet.Promote(Fleet::Release(kSecond, 3, process));
  fleet.RunUntilQuiet([&] {
    REQUIRE(fleet.Serving() >= 2);
    REQUIRE(fleet.Running() <= 3);
  });
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  CHECK(fleet.Serving() == 3);
}

TEST_CASE("a new replica must be ready for min_healthy before an old one goes",
          "[scheduler][reconcile]") {
  Fleet fleet = Deployed(1);
  const std::string old = *fleet.Ids().begin();
  config::v1::Process process = Fleet::Process();
  process.mutable_update()->mutable_min_healthy()->set_seconds(20);
  fleet.Promote(Fleet::Release(kSecond, 1, process));
  fleet.Step();
  fleet.Step();
  REQUIRE(fleet.Serving() == 2);
  const absl::Time ready = *fleet.EnvironmentOf().instances.rbegin()->second.ready_since;
  CHECK(fleet.Wake() == ready + absl::Seconds(20));
  fleet.Pass(ready + absl::Seconds(19) - fleet.now());
  CHECK_FALSE(fleet.EnvironmentOf().instances.at(old).draining);
  fleet.Pass(absl::Seconds(1));
  CHECK(fleet.EnvironmentOf().instances.at(old).draining);
}

TEST_CASE("an instance that fails fails its rollout at once and the old release serves on",
          "[scheduler][reconcile]") {
  Fleet fleet = Deployed(3);
  const std::set<std::string> before = fleet.Ids();
  fleet.Behave(kSecond, Behaviour::kFails);
  fleet.Promote(Fleet::Release(kSecond, 3));
  bool failed = false;
  fleet.RunUntilQuiet([&] {
    REQUIRE(fleet.Serving() == 3);
    failed = failed || fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_FAILED;
  });
  const std::vector<std::string> failures = fleet.RolloutFailures();
  REQUIRE(failures.size() == 1);
  CHECK_THAT(failures[0], Contains("exited with 1"));
  SECTION("and the return to it converges without replacing an instance") {
    CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
    CHECK(fleet.RolloutOf().release == 1);
    CHECK(fleet.CurrentRelease() == 1);
    CHECK(fleet.Ids() == before);
  }
  fleet.scenario().CheckReplay();
}

TEST_CASE("a first release that fails leaves nothing behind", "[scheduler][reconcile]") {
  Fleet fleet = TwoHosts();
  fleet.Behave(kFirst, Behaviour::kFails);
  fleet.Promote(Fleet::Release(kFirst, 2));
  fleet.RunUntilQuiet();
  CHECK(fleet.Ids().empty());
  CHECK(fleet.CurrentRelease() == 0);
  CHECK(fleet.RolloutFailures().size() == 1);
}

TEST_CASE("a rollout that is not done at its deadline fails", "[scheduler][reconcile]") {
  Fleet fleet = Deployed(2);
  fleet.Behave(kSecond, Behaviour::kStartsForEver);
  config::v1::Process process = Fleet::Process();
  process.mutable_update()->mutable_deadline()->set_seconds(60);
  fleet.Promote(Fleet::Release(kSecond, 2, process));
  fleet.Step();
  const absl::Time deadline = fleet.RolloutOf().deadline;
  CHECK(deadline == fleet.RolloutOf().start_time + absl::Seconds(60));
  fleet.Step();
  CHECK(fleet.Wake() == deadline);
  fleet.Pass(deadline - fleet.now() - absl::Nanoseconds(1));
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
  fleet.Pass(absl::Nanoseconds(1));
  REQUIRE(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_FAILED);
  CHECK_THAT(fleet.RolloutOf().reason,
             Contains("the deadline passed") && Contains("did not become ready"));
  CHECK(fleet.Serving() == 2);
  fleet.RunUntilQuiet();
  CHECK(fleet.CurrentRelease() == 1);
  CHECK(fleet.Ids().size() == 2);
}

TEST_CASE("a release that serves is not taken back because an old instance stops slowly",
          "[scheduler][reconcile]") {
  Fleet fleet = Deployed(1);
  const std::string old = *fleet.Ids().begin();
  const std::string host = fleet.EnvironmentOf().instances.at(old).host;
  fleet.Promote(Fleet::Release(kSecond, 1));
  fleet.Step();
  fleet.Step();
  REQUIRE(fleet.EnvironmentOf().instances.at(old).assignment.intent() == v1::INTENT_STOP);
  fleet.Pass(kRolloutDeadline);
  CHECK(fleet.RolloutFailures().empty());
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
}

TEST_CASE("a change of scale keeps the instances there are", "[scheduler][reconcile]") {
  Fleet fleet = Deployed(3);
  const std::set<std::string> before = fleet.Ids();
  SECTION("more are added") {
    fleet.Promote(Fleet::Release(kFirst, 5));
    fleet.RunUntilQuiet([&] { REQUIRE(fleet.Serving() >= 3); });
    CHECK(fleet.Serving() == 5);
    const std::set<std::string> after = fleet.Ids();
    CHECK(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  }
  SECTION("only those too many go") {
    fleet.Promote(Fleet::Release(kFirst, 1));
    fleet.RunUntilQuiet([&] { REQUIRE(fleet.Serving() >= 1); });
    CHECK(fleet.Serving() == 1);
    const std::set<std::string> after = fleet.Ids();
    REQUIRE(after.size() == 1);
    CHECK(before.contains(*after.begin()));
  }
  SECTION("to none") {
    fleet.Promote(Fleet::Release(kFirst, 0));
    fleet.RunUntilQuiet();
    CHECK(fleet.Ids().empty());
  }
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
}

TEST_CASE("the instances of a lost host move, and stop where they were once it returns",
          "[scheduler][reconcile]") {
  Fleet fleet = Deployed(4);
  fleet.LoseHost("alpha", v1::HOST_PRESENCE_STALE);
  CHECK(fleet.Running() == 4);
  CHECK(fleet.Ids().size() == 4);
  fleet.LoseHost("alpha");
  fleet.RunUntilQuiet();
  CHECK(fleet.Serving() == 4);
  CHECK(fleet.state().hosts().at("beta").instances.size() == 4);
  CHECK(fleet.InstancesOn("alpha").size() == 2);
  fleet.ReturnHost("alpha");
  fleet.RunUntilQuiet();
  CHECK(fleet.InstancesOn("alpha").empty());
  CHECK(fleet.Serving() == 4);
  CHECK(fleet.Ids().size() == 4);
  fleet.scenario().CheckReplay();
}

TEST_CASE("a host whose keys have changed is left as it is until a person has approved them",
          "[scheduler][reconcile]") {
  Fleet fleet = Deployed(4);
  const size_t endpoints = fleet.state().Entries(State::kEndpointsTopic).size();
  const std::set<std::string> on_alpha = fleet.state().hosts().at("alpha").instances;
  fleet.SetMembership("alpha", auth::v1::MACHINE_STATUS_UNKNOWN);
  // It is not let in to report, and its silence counts for nothing.
  fleet.LoseHost("alpha");
  fleet.RunUntilQuiet();
  CHECK(fleet.Ids().size() == 4);
  CHECK(fleet.state().hosts().at("alpha").instances == on_alpha);
  // Nothing is sent to it, and nothing new is placed on it.
  CHECK(fleet.state().Entries(State::kEndpointsTopic).size() == endpoints - on_alpha.size());
  fleet.ReturnHost("alpha");
  fleet.SetMembership("alpha", auth::v1::MACHINE_STATUS_ACTIVE);
  fleet.RunUntilQuiet();
  CHECK(fleet.state().hosts().at("alpha").instances == on_alpha);
  CHECK(fleet.Serving() == 4);
  CHECK(fleet.state().Entries(State::kEndpointsTopic).size() == endpoints);
  fleet.scenario().CheckReplay();
}

TEST_CASE("a host that is removed takes its instances with it and they are placed elsewhere",
          "[scheduler][reconcile]") {
  Fleet fleet = Deployed(4);
  SECTION("for good") {
    fleet.RemoveHost("alpha");
    fleet.RunUntilQuiet();
    CHECK(fleet.Serving() == 4);
    CHECK(fleet.state().hosts().at("beta").instances.size() == 4);
  }
  SECTION("and joined anew it has all its room") {
    fleet.RemoveHost("alpha");
    fleet.AddHost("alpha", 200 * kMiB);
    fleet.RunUntilQuiet();
    CHECK(fleet.Serving() == 4);
  }
  fleet.scenario().CheckReplay();
}

TEST_CASE("a restart replaces every instance by a new one of the same release, start-first",
          "[scheduler][reconcile]") {
  Fleet fleet = Deployed(3);
  const std::set<std::string> before = fleet.Ids();
  REQUIRE(fleet.Restart({"web"}) == absl::OkStatus());
  fleet.RunUntilQuiet([&] {
    CHECK(fleet.Serving() >= 3);
    CHECK(fleet.Running() <= 4);
  });
  CHECK(fleet.Serving() == 3);
  for (const std::string& id : fleet.Ids()) {
    CHECK_FALSE(before.contains(id));
    CHECK(fleet.EnvironmentOf().instances.at(id).assignment.release() == 1);
  }
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  CHECK(fleet.Why().converged());
  const std::set<std::string> after = fleet.Ids();
  fleet.Promote(Fleet::Release(kFirst, 2));
  fleet.RunUntilQuiet();
  for (const std::string& id : fleet.Ids()) CHECK(after.contains(id));
  fleet.scenario().CheckReplay();
}

TEST_CASE("timers run on where the wall clock is set", "[scheduler][reconcile]") {
  const absl::Duration by = GENERATE(-absl::Hours(1), absl::Hours(1));
  Fleet fleet = TwoHosts();
  config::v1::Process process = Fleet::Process();
  process.mutable_update()->mutable_min_healthy()->set_seconds(30);
  SECTION("of a rollout that becomes healthy") {
    fleet.Promote(Fleet::Release(kFirst, 1, process));
    for (int i = 0; i < 3; ++i) fleet.Step();
    fleet.SetClock(by);
    fleet.Pass(absl::Seconds(20));
    CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
    fleet.Pass(absl::Seconds(10));
    CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  }
  SECTION("of a rollout that does not") {
    fleet.Behave(kFirst, Behaviour::kStartsForEver);
    fleet.Promote(Fleet::Release(kFirst, 1, process));
    for (int i = 0; i < 3; ++i) fleet.Step();
    fleet.SetClock(by);
    fleet.Pass(kRolloutDeadline - absl::Seconds(5));
    CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
    fleet.Pass(absl::Seconds(5));
    CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_FAILED);
  }
  SECTION("of a restart") {
    fleet.Promote(Fleet::Release(kFirst, 1));
    fleet.RunUntilQuiet();
    fleet.Crash("web");
    fleet.Step();
    fleet.SetClock(by);
    fleet.Pass(kRestartDelayMax);
    fleet.RunUntilQuiet();
    CHECK(fleet.Serving() == 1);
  }
  fleet.scenario().CheckReplay();
}

TEST_CASE("a restart waits until new instances were ready for as long as the manifest asks",
          "[scheduler][reconcile]") {
  Fleet fleet = TwoHosts();
  config::v1::Process process = Fleet::Process();
  process.mutable_update()->mutable_min_healthy()->set_seconds(30);
  fleet.Promote(Fleet::Release(kFirst, 1, process));
  for (int i = 0; i < 3; ++i) fleet.Step();
  fleet.Pass(absl::Seconds(30));
  fleet.RunUntilQuiet();
  const std::string old = *fleet.Ids().begin();
  REQUIRE(fleet.Restart({}) == absl::OkStatus());
  for (int i = 0; i < 3; ++i) fleet.Step();
  CHECK(fleet.Ids().contains(old));
  CHECK(fleet.Ids().size() == 2);
  fleet.Pass(absl::Seconds(30));
  fleet.RunUntilQuiet();
  CHECK_FALSE(fleet.Ids().contains(old));
  CHECK(fleet.Serving() == 1);
}

TEST_CASE("a restart starts what had given up", "[scheduler][reconcile]") {
  Fleet fleet = Deployed(1);
  const std::string id = *fleet.Ids().begin();
  fleet.Behave(kFirst, Behaviour::kFails);
  fleet.Crash(id);
  for (int i = 0; i < 20; ++i) fleet.Step();
  REQUIRE(fleet.EnvironmentOf().instances.at(id).failures_in_row == State::kFailuresMax);
  fleet.Behave(kFirst, Behaviour::kBecomesReady);
  REQUIRE(fleet.Restart({"web"}) == absl::OkStatus());
  fleet.RunUntilQuiet();
  CHECK(fleet.Serving() == 1);
  CHECK_FALSE(fleet.Ids().contains(id));
}

TEST_CASE("a restart whose new instance fails leaves the old ones serving",
          "[scheduler][reconcile]") {
  Fleet fleet = Deployed(2);
  fleet.Behave(kFirst, Behaviour::kFails);
  REQUIRE(fleet.Restart({"web"}) == absl::OkStatus());
  for (int i = 0; i < 20; ++i) {
    fleet.Step();
    CHECK(fleet.Serving() == 2);
  }
  CHECK(fleet.Why().predicates().rbegin()->id() == predicate::kInstanceStarted);
}

TEST_CASE("a restart of nothing, or during a rollout, is refused", "[scheduler][reconcile]") {
  Fleet fleet = Deployed(1);
  CHECK(fleet.Restart({"worker"}).code() == absl::StatusCode::kNotFound);
  fleet.Promote(Fleet::Release(kSecond, 1));
  fleet.Settle();
  CHECK(fleet.Restart({"web"}).code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE(
    "an instance that fails after its rollout is started anew, later each time, and stops "
    "after three failures",
    "[scheduler][reconcile]") {
  Fleet fleet = Deployed(1);
  const std::string id = *fleet.Ids().begin();
  auto instance = [&]() -> const Instance& { return fleet.EnvironmentOf().instances.at(id); };
  absl::Duration delay = kRestartDelayMin;
  for (int failure = 1; failure < State::kFailuresMax; ++failure) {
    fleet.Crash(id);
    fleet.Step();
    REQUIRE(instance().observed.phase() == v1::PHASE_FAILED);
    CHECK(instance().failures_in_row == failure);
    const absl::Time again = instance().observed_time + delay;
    CHECK(fleet.Wake() == again);
    fleet.Pass(again - fleet.now() - absl::Nanoseconds(1));
    CHECK(instance().assignment.attempt() == static_cast<uint32_t>(failure));
    fleet.Pass(absl::Nanoseconds(1));
    CHECK(instance().assignment.attempt() == static_cast<uint32_t>(failure) + 1);
    fleet.RunUntilQuiet();
    REQUIRE(fleet.Serving() == 1);
    delay *= 2;
  }
  SECTION("three in a row stop it") {
    fleet.Crash(id);
    fleet.RunUntilQuiet();
    fleet.Pass(absl::Hours(24));
    CHECK(fleet.Serving() == 0);
    CHECK(instance().assignment.attempt() == State::kFailuresMax);
    CHECK(fleet.Wake() == absl::InfiniteFuture());
  }
  SECTION("after it was ready for a while the row begins anew") {
    fleet.Pass(State::kStableAfter);
    SECTION("also where it was unready in between") {
      v1::InstanceReport& report = fleet.Report(instance().host, id);
      report.set_phase(v1::PHASE_UNREADY);
      fleet.Step();
    }
    fleet.Crash(id);
    fleet.Step();
    CHECK(instance().failures_in_row == 1);
    fleet.RunUntilQuiet();
    CHECK(fleet.Serving() == 1);
  }
  CHECK(fleet.RolloutFailures().empty());
}

TEST_CASE("a deploy without a host waits for one", "[scheduler][reconcile]") {
  Fleet fleet;
  fleet.Promote(Fleet::Release(kFirst, 2));
  fleet.Settle();
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
  CHECK_THAT(fleet.EnvironmentOf().unplaced.at("web"), Contains("berth host add"));
  fleet.AddHost("alpha", 1000 * kMiB);
  fleet.RunUntilQuiet();
  CHECK(fleet.Serving() == 2);
  CHECK(fleet.EnvironmentOf().unplaced.empty());
}

TEST_CASE("a release that no host has room for fails at once, with the numbers",
          "[scheduler][reconcile]") {
  Fleet fleet;
  fleet.AddHost("alpha", 100 * kMiB);
  // Also of an image that no host has reported yet: it would not help.
  config::v1::Release release = Fleet::Release(kFirst, 1, Fleet::Process(101 * kMiB));
  release.set_image_is_local(GENERATE(false, true));
  fleet.Promote(release);
  fleet.Settle();
  REQUIRE(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_FAILED);
  CHECK_THAT(fleet.RolloutOf().reason,
             Contains("100 MiB of memory left") && Contains("101 MiB are needed"));
}

TEST_CASE("a release of a local image waits a while for a host to report it",
          "[scheduler][reconcile]") {
  Fleet fleet;
  fleet.AddHost("alpha", 1000 * kMiB);
  config::v1::Release release = Fleet::Release(kFirst, 1);
  release.set_image_is_local(true);
  fleet.Promote(release);
  fleet.Settle();
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
  fleet.Pass(absl::Seconds(16));
  fleet.Settle();
  REQUIRE(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_FAILED);
  CHECK_THAT(fleet.RolloutOf().reason, Contains("does not have the local image"));
}

TEST_CASE("two process types that are placed together share the room there is",
          "[scheduler][reconcile]") {
  Fleet fleet;
  fleet.AddHost("alpha", 150 * kMiB);
  config::v1::Release release = Fleet::Release(kFirst, 1);
  (*release.mutable_manifest()->mutable_processes())["worker"] = Fleet::Process();
  (*release.mutable_replicas())["worker"] = 1;
  SECTION("with room for one of them") {
    fleet.Promote(release);
    fleet.RunUntilQuiet();
    REQUIRE(fleet.RolloutFailures().size() == 1);
    CHECK_THAT(fleet.RolloutFailures()[0], Contains("worker") && Contains("50 MiB of memory left"));
  }
  SECTION("with room for both") {
    fleet.AddHost("beta", 150 * kMiB);
    fleet.Promote(release);
    fleet.RunUntilQuiet();
    CHECK(fleet.Running() == 2);
    CHECK(fleet.RolloutFailures().empty());
  }
  SECTION("with room for none the rollout fails once") {
    release.mutable_manifest()->mutable_processes()->at("web") = Fleet::Process(200 * kMiB);
    release.mutable_manifest()->mutable_processes()->at("worker") = Fleet::Process(200 * kMiB);
    fleet.Promote(release);
    fleet.RunUntilQuiet();
    CHECK(fleet.RolloutFailures().size() == 1);
  }
}

TEST_CASE("without room for a surge", "[scheduler][reconcile]") {
  Fleet fleet;
  fleet.AddHost("alpha", 200 * kMiB);
  fleet.Promote(Fleet::Release(kFirst, 2));
  fleet.RunUntilQuiet();
  config::v1::Process process = Fleet::Process();
  SECTION("an update is refused where none may be missing") {
    fleet.Promote(Fleet::Release(kSecond, 2, process));
    fleet.RunUntilQuiet([&] { REQUIRE(fleet.Serving() == 2); });
    REQUIRE(fleet.RolloutFailures().size() == 1);
    CHECK_THAT(fleet.RolloutFailures()[0], Contains("0 MiB of memory left"));
    CHECK(fleet.CurrentRelease() == 1);
  }
  SECTION("an update goes stop-first where one may be missing") {
    process.mutable_update()->set_max_unavailable(1);
    fleet.Promote(Fleet::Release(kSecond, 2, process));
    fleet.RunUntilQuiet([&] { REQUIRE(fleet.Serving() >= 1); });
    CHECK(fleet.RolloutFailures().empty());
    CHECK(fleet.CurrentRelease() == 2);
    CHECK(fleet.Serving() == 2);
  }
}

TEST_CASE("a rollout that overtakes another one replaces what both left",
          "[scheduler][reconcile]") {
  Fleet fleet = Deployed(3);
  fleet.Promote(Fleet::Release(kSecond, 3));
  fleet.Step();
  fleet.Step();
  fleet.Promote(Fleet::Release("registry.example/notes@sha256:3", 3));
  fleet.RunUntilQuiet([&] {
    REQUIRE(fleet.Serving() >= 3);
    REQUIRE(fleet.Running() <= 4);
  });
  CHECK(fleet.CurrentRelease() == 3);
  CHECK(fleet.Ids().size() == 3);
}

TEST_CASE("a good release does not wait for one that took the surge and never became ready",
          "[scheduler][reconcile]") {
  Fleet fleet = Deployed(2);
  fleet.Behave(kSecond, Behaviour::kStartsForEver);
  fleet.Promote(Fleet::Release(kSecond, 2));
  for (int i = 0; i < 5; ++i) fleet.Step();
  REQUIRE(fleet.Running() == 3);
  fleet.Promote(Fleet::Release("registry.example/notes@sha256:3", 2));
  // As many rounds as a rollout takes, and no time.
  for (int i = 0; i < 50; ++i) {
    fleet.Step();
    REQUIRE(fleet.Serving() >= 2);
    REQUIRE(fleet.Running() <= 3);
  }
  CHECK(fleet.CurrentRelease() == 3);
  CHECK(fleet.RolloutFailures().empty());
}

// Everything that may happen, in an order that a seed decides. Fleet and Scenario check after every
// event: memory is never promised twice, addresses are unique, topics by changes and by snapshots
// agree. In the end, with all hosts back, every environment comes to rest.
TEST_CASE("a storm of commands leaves the promises whole", "[scheduler][reconcile]") {
  const uint32_t seed = GENERATE(range(1u, 13u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  auto below = [&random](uint32_t end) { return static_cast<uint32_t>(random() % end); };
  Fleet fleet;
  const std::vector<std::string> hosts = {"alpha", "beta", "gamma"};
  const std::vector<std::string> apps = {"notes", "shop"};
  std::set<std::string> members;
  std::set<std::string> lost;
  auto add = [&](const std::string& host) {
    fleet.AddHost(host, 600 * kMiB);
    members.insert(host);
  };
  for (const std::string& host : hosts) add(host);
  std::set<std::string> deployed;
  for (int i = 0; i < 150; ++i) {
    const std::string& host = hosts[below(3)];
    const std::string& app = apps[below(2)];
    switch (below(10)) {
      case 0: {
        const std::string image = absl::StrCat("image-", below(4));
        fleet.Behave(image, static_cast<Behaviour>(below(3)));
        config::v1::Process process = Fleet::Process((1 + below(3)) * 64 * kMiB);
        process.mutable_update()->set_max_surge(below(3));
        process.mutable_update()->set_max_unavailable(below(2));
        process.mutable_update()->mutable_min_healthy()->set_seconds(below(3));
        fleet.Promote(Fleet::Release(image, below(5), process), app);
        deployed.insert(app);
        break;
      }
      case 1:
        if (members.contains(host)) {
          fleet.LoseHost(host, below(2) == 0 ? v1::HOST_PRESENCE_STALE : v1::HOST_PRESENCE_LOST);
          lost.insert(host);
        }
        break;
      case 2:
        if (members.contains(host) && below(4) == 0) {
          fleet.RemoveHost(host);
          members.erase(host);
          lost.erase(host);
        } else if (!members.contains(host)) {
          add(host);
        }
        break;
      case 3:
        if (lost.erase(host) > 0) fleet.ReturnHost(host);
        break;
      case 4:
        fleet.Crash(absl::StrCat("web-id", below(10)));
        break;
      case 5:
        if (below(4) == 0) {
          fleet.SetClock(absl::Minutes(60) - absl::Minutes(below(120)));
        } else {
          fleet.Pass(absl::Seconds(below(90)));
        }
        break;
      default:
        fleet.Step();
    }
  }
  for (const std::string& host : lost) fleet.ReturnHost(host);
  for (const std::string& host : hosts) {
    if (!members.contains(host)) add(host);
  }
  fleet.Pass(kRolloutDeadline);
  for (int i = 0; i < 5; ++i) {
    fleet.RunUntilQuiet();
    fleet.Pass(kRolloutDeadline + kRestartDelayMax);
  }
  for (const std::string& app : deployed) {
    CAPTURE(app);
    CHECK(fleet.RolloutOf(app).phase != v1::ROLLOUT_PHASE_RUNNING);
    for (const auto& [id, instance] : fleet.EnvironmentOf(app).instances) {
      CAPTURE(id);
      CHECK(instance.assignment.intent() == v1::INTENT_RUN);
      CHECK_FALSE(instance.draining);
    }
  }
  fleet.scenario().CheckReplay();
}

}  // namespace
}  // namespace berth::scheduler
