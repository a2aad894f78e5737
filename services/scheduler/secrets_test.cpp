// How instances come to their secrets, on a fleet in memory.

#include <catch2/catch.hpp>
#include <string>

#include "common/secrets/grant.h"
#include "services/scheduler/model_fleet.h"

namespace berth::scheduler {
namespace {

using Catch::Contains;

constexpr char kFirst[] = "registry.example/notes@sha256:1";
constexpr char kSecond[] = "registry.example/notes@sha256:2";
constexpr char kDatabase[] = "database-url";

config::v1::Process Naming(const std::vector<std::string>& secrets) {
  config::v1::Process process = Fleet::Process();
  for (const std::string& name : secrets) process.mutable_secrets()->add_names(name);
  return process;
}

Fleet TwoHosts() {
  Fleet fleet;
  fleet.AddHost("alpha", 1000 * kMiB);
  fleet.AddHost("beta", 1000 * kMiB);
  return fleet;
}

// Three of web, which names the database's secret, and one worker, which names none; all ready.
Fleet Deployed() {
  Fleet fleet = TwoHosts();
  fleet.SetSecrets({{kDatabase, 1}});
  config::v1::Release release = Fleet::Release(kFirst, 3, Naming({kDatabase}));
  (*release.mutable_manifest()->mutable_processes())["worker"] = Fleet::Process();
  (*release.mutable_replicas())["worker"] = 1;
  fleet.Promote(release);
  fleet.RunUntilQuiet();
  REQUIRE(fleet.Serving() == 4);
  REQUIRE(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  return fleet;
}

// The versions of the database's secret that running instances were given, and how many of each.
std::map<uint64_t, int> Given(const Fleet& fleet) {
  std::map<uint64_t, int> given;
  for (const auto& [id, instance] : fleet.EnvironmentOf().instances) {
    const auto& versions = instance.assignment.secret_versions();
    const auto found = versions.find(kDatabase);
    if (found != versions.end() && instance.assignment.intent() == v1::INTENT_RUN) {
      ++given[found->second];
    }
  }
  return given;
}

std::set<std::string> Workers(const Fleet& fleet) {
  std::set<std::string> workers;
  for (const std::string& id : fleet.Ids()) {
    if (absl::StartsWith(id, "worker-")) workers.insert(id);
  }
  return workers;
}

TEST_CASE("an instance is granted the active versions of what its process type names",
          "[scheduler][secrets]") {
  Fleet fleet = TwoHosts();
  fleet.SetSecrets({{kDatabase, 4}, {"api-key", 2}, {"somebody-elses", 9}});
  fleet.Promote(Fleet::Release(kFirst, 1, Naming({"api-key", kDatabase})));
  fleet.RunUntilQuiet();
  REQUIRE(fleet.Serving() == 1);
  const Instance& instance = fleet.EnvironmentOf().instances.begin()->second;
  const v1::Assignment& assignment = instance.assignment;
  CHECK(assignment.secret_grant().signed_by() == fleet.grant_key().public_key());
  const auto grant = VerifyGrant(assignment.secret_grant());
  REQUIRE(grant.status() == absl::OkStatus());
  CHECK(grant->host() == instance.host);
  CHECK(ToString(grant->environment()) == ToString(Fleet::Name()));
  const SecretVersions versions(grant->versions().begin(), grant->versions().end());
  CHECK(versions == SecretVersions{{"api-key", 2}, {kDatabase, 4}});
  CHECK(SecretVersions(assignment.secret_versions().begin(), assignment.secret_versions().end()) ==
        versions);
  fleet.scenario().CheckReplay();
}

TEST_CASE("a process type without secrets gets no grant", "[scheduler][secrets]") {
  const Fleet fleet = Deployed();
  REQUIRE(Workers(fleet).size() == 1);
  const Instance& worker = fleet.EnvironmentOf().instances.at(*Workers(fleet).begin());
  CHECK_FALSE(worker.assignment.has_secret_grant());
  CHECK(worker.assignment.secret_versions().empty());
}

TEST_CASE("nothing with secrets is placed before the key that signs grants is known",
          "[scheduler][secrets]") {
  Fleet fleet = Deployed();
  fleet.LoseHost("alpha");
  fleet.SetSecrets({{kDatabase, 2}});
  DecisionContext context;
  SequentialIdSource ids;
  context.ids = &ids;
  context.now = fleet.now();
  for (const v1::Event& event :
       Reconcile(fleet.state(), ToString(Fleet::Name()), nullptr, context)) {
    CHECK_FALSE(event.has_instance_placed());
    CHECK_FALSE(event.has_placement_refused());
  }
}

TEST_CASE("a first deploy waits for a secret that is not set, and goes on once it is",
          "[scheduler][secrets]") {
  Fleet fleet = TwoHosts();
  config::v1::Release release = Fleet::Release(kFirst, 2, Naming({"api-key", kDatabase}));
  (*release.mutable_manifest()->mutable_processes())["worker"] = Fleet::Process();
  (*release.mutable_replicas())["worker"] = 1;
  fleet.SetSecrets({{"api-key", 1}});
  fleet.Promote(release);
  fleet.RunUntilQuiet();
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
  CHECK(fleet.Running() == 1);  // The worker.
  CHECK(fleet.EnvironmentOf().unplaced.at("web") ==
        "secret database-url is not set in acme/notes/production; "
        "run: berth secret set database-url");
  CHECK_THAT(fleet.state().StatusOf(Fleet::Name())->rollout().reason(), Contains("is not set"));
  fleet.SetSecrets({{"api-key", 1}, {kDatabase, 1}});
  fleet.RunUntilQuiet();
  CHECK(fleet.Serving() == 3);
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  CHECK(fleet.EnvironmentOf().unplaced.empty());
  CHECK(fleet.CurrentRelease() == 1);
  fleet.scenario().CheckReplay();
}

TEST_CASE("a deploy that waits for a secret takes nothing from what serves",
          "[scheduler][secrets]") {
  Fleet fleet = Deployed();
  const std::set<std::string> before = fleet.Ids();
  config::v1::Release release = Fleet::Release(kSecond, 3, Naming({kDatabase, "api-key"}));
  (*release.mutable_manifest()->mutable_processes())["worker"] = Fleet::Process();
  (*release.mutable_replicas())["worker"] = 1;
  fleet.Promote(release);
  fleet.RunUntilQuiet([&] { REQUIRE(fleet.Serving() >= 4); });
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
  CHECK(Given(fleet)[1] == 3);
  SECTION("until the deadline") {
    fleet.Pass(fleet.RolloutOf().deadline - fleet.now());
    REQUIRE(fleet.RolloutFailures().size() == 1);
    CHECK_THAT(fleet.RolloutFailures()[0], Contains("secret api-key is not set"));
    fleet.RunUntilQuiet();
    CHECK(fleet.CurrentRelease() == 1);
    CHECK(fleet.Serving() == 4);
  }
  SECTION("until it is set") {
    const absl::Time deadline = fleet.RolloutOf().deadline;
    fleet.Pass(absl::Seconds(60));
    fleet.SetSecrets({{kDatabase, 1}, {"api-key", 1}});
    CHECK(fleet.RolloutOf().deadline > deadline);
    fleet.RunUntilQuiet([&] { REQUIRE(fleet.Serving() >= 4); });
    CHECK(fleet.CurrentRelease() == 2);
    for (const std::string& id : fleet.Ids()) CHECK_FALSE(before.contains(id));
  }
  fleet.scenario().CheckReplay();
}

TEST_CASE("another active version replaces, start-first, the instances that are given it",
          "[scheduler][secrets]") {
  Fleet fleet = Deployed();
  const std::set<std::string> workers = Workers(fleet);
  const uint64_t promotion = fleet.RolloutOf().promotion;
  fleet.SetSecrets({{kDatabase, 2}});
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
  CHECK(fleet.RolloutOf().cause == v1::ROLLOUT_CAUSE_SECRETS);
  fleet.RunUntilQuiet([&] {
    REQUIRE(fleet.Serving() >= 4);
    REQUIRE(fleet.Running() <= 5);
  });
  CHECK(Given(fleet) == std::map<uint64_t, int>{{2, 3}});
  CHECK(Workers(fleet) == workers);
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  CHECK(fleet.RolloutOf().promotion == promotion);
  CHECK(fleet.RolloutOf().secret_versions == SecretVersions{{kDatabase, 2}});
  CHECK(fleet.CurrentRelease() == 1);
  SECTION("and the one before is another version, too") {
    fleet.SetSecrets({{kDatabase, 1}});
    fleet.RunUntilQuiet();
    CHECK(Given(fleet) == std::map<uint64_t, int>{{1, 3}});
  }
  fleet.scenario().CheckReplay();
}

TEST_CASE("a promotion's end is told before secrets that moved are rolled out",
          "[scheduler][secrets]") {
  Fleet fleet = TwoHosts();
  fleet.SetSecrets({{kDatabase, 1}});
  fleet.SetConfigHears(false);
  fleet.Promote(Fleet::Release(kFirst, 3, Naming({kDatabase})));
  fleet.RunUntilQuiet();
  REQUIRE(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  fleet.SetSecrets({{kDatabase, 2}});
  fleet.RunUntilQuiet();
  CHECK(fleet.RolloutOf().cause == v1::ROLLOUT_CAUSE_PROMOTION);
  CHECK_FALSE(fleet.RolloutOf().reported);
  CHECK(Given(fleet) == std::map<uint64_t, int>{{1, 3}});
  fleet.SetConfigHears(true);
  fleet.RunUntilQuiet();
  CHECK(fleet.CurrentRelease() == 1);
  CHECK(fleet.RolloutOf().cause == v1::ROLLOUT_CAUSE_SECRETS);
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  CHECK(Given(fleet) == std::map<uint64_t, int>{{2, 3}});
  fleet.scenario().CheckReplay();
}

TEST_CASE("a secret that the release does not name changes nothing", "[scheduler][secrets]") {
  Fleet fleet = Deployed();
  const std::set<std::string> before = fleet.Ids();
  fleet.SetSecrets({{kDatabase, 1}, {"somebody-elses", 7}});
  fleet.RunUntilQuiet();
  CHECK(fleet.Ids() == before);
  CHECK(fleet.RolloutOf().cause == v1::ROLLOUT_CAUSE_PROMOTION);
}

TEST_CASE("a version that instances fail with fails its rollout, and the ones before serve on",
          "[scheduler][secrets]") {
  Fleet fleet = Deployed();
  const std::set<std::string> before = fleet.Ids();
  fleet.BehaveGiven(kDatabase, 2, Behaviour::kFails);
  fleet.SetSecrets({{kDatabase, 2}});
  fleet.RunUntilQuiet([&] { REQUIRE(fleet.Serving() == 4); });
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_FAILED);
  CHECK_THAT(fleet.RolloutOf().reason, Contains("exited with 1"));
  CHECK(fleet.Ids() == before);
  CHECK(fleet.RolloutFailures().size() == 1);  // And it is not tried again.
  CHECK(fleet.CurrentRelease() == 1);
  SECTION("what is placed then is given the versions before") {
    fleet.LoseHost("alpha");
    fleet.RunUntilQuiet();
    CHECK(fleet.Serving() == 4);
    CHECK(Given(fleet) == std::map<uint64_t, int>{{1, 3}});
  }
  SECTION("an instance that fails later is started anew") {
    fleet.Crash("web-");
    for (int step = 0; step < 5; ++step) fleet.Step();
    CHECK(fleet.Serving() == 4);
    CHECK(fleet.RolloutFailures().size() == 1);
  }
  SECTION("a later version is tried") {
    fleet.SetSecrets({{kDatabase, 3}});
    fleet.RunUntilQuiet([&] { REQUIRE(fleet.Serving() >= 4); });
    CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
    CHECK(Given(fleet) == std::map<uint64_t, int>{{3, 3}});
  }
  SECTION("the one before, activated again, replaces nothing") {
    fleet.SetSecrets({{kDatabase, 1}});
    fleet.RunUntilQuiet();
    CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
    CHECK(fleet.Ids() == before);
  }
  SECTION("a release tries it again") {
    fleet.BehaveGiven(kDatabase, 2, Behaviour::kBecomesReady);
    fleet.Promote(Fleet::Release(kSecond, 3, Naming({kDatabase})));
    fleet.RunUntilQuiet();
    CHECK(fleet.CurrentRelease() == 2);
    CHECK(Given(fleet) == std::map<uint64_t, int>{{2, 3}});
  }
  fleet.scenario().CheckReplay();
}

TEST_CASE("a version that instances never become ready with fails its rollout at the deadline",
          "[scheduler][secrets]") {
  Fleet fleet = Deployed();
  fleet.BehaveGiven(kDatabase, 2, Behaviour::kStartsForEver);
  fleet.SetSecrets({{kDatabase, 2}});
  fleet.Step();
  fleet.Pass(fleet.RolloutOf().deadline - fleet.now());
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_FAILED);
  CHECK_THAT(fleet.RolloutOf().reason, Contains("did not become ready"));
  fleet.RunUntilQuiet([&] { REQUIRE(fleet.Serving() == 4); });
  CHECK(Given(fleet) == std::map<uint64_t, int>{{1, 3}});
}

TEST_CASE("a rollout of secrets is not failed by a process type that is given none",
          "[scheduler][secrets]") {
  Fleet fleet = Deployed();
  fleet.BehaveGiven(kDatabase, 2, Behaviour::kStartsForEver);
  fleet.SetSecrets({{kDatabase, 2}});
  fleet.Step();
  fleet.Crash("worker-");
  for (int step = 0; step < 5; ++step) fleet.Step();
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
  CHECK(fleet.Serving() == 4);  // The worker, too, again.
}

TEST_CASE("a rollout of a secret that fails half-way goes all the way back",
          "[scheduler][secrets]") {
  Fleet fleet = Deployed();
  fleet.SetSecrets({{kDatabase, 2}});
  bool broken = false;
  fleet.RunUntilQuiet([&] {
    REQUIRE(fleet.Serving() >= 4);
    if (broken || Given(fleet)[1] > 2) return;
    fleet.BehaveGiven(kDatabase, 2, Behaviour::kFails);
    broken = true;
  });
  REQUIRE(broken);
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_FAILED);
  CHECK(fleet.Serving() == 4);
  CHECK(Given(fleet) == std::map<uint64_t, int>{{1, 3}});
  fleet.scenario().CheckReplay();
}

TEST_CASE("a secret that is deleted takes nothing from what runs, and is missing to what is placed",
          "[scheduler][secrets]") {
  Fleet fleet = Deployed();
  const std::set<std::string> before = fleet.Ids();
  fleet.SetSecrets({});
  fleet.RunUntilQuiet();
  CHECK(fleet.Ids() == before);
  CHECK(fleet.Serving() == 4);
  fleet.LoseHost("alpha");
  fleet.RunUntilQuiet();
  CHECK(fleet.Serving() < 4);
  CHECK_THAT(fleet.EnvironmentOf().unplaced.at("web"), Contains("secret database-url is not set"));
  fleet.SetSecrets({{kDatabase, 2}});
  fleet.RunUntilQuiet();
  CHECK(fleet.Serving() == 4);
  CHECK(fleet.EnvironmentOf().unplaced.empty());
  CHECK(Given(fleet) == std::map<uint64_t, int>{{2, 3}});
  fleet.scenario().CheckReplay();
}

TEST_CASE("a version that becomes active while a release is rolled out joins that rollout",
          "[scheduler][secrets]") {
  Fleet fleet = Deployed();
  fleet.Promote(Fleet::Release(kSecond, 3, Naming({kDatabase})));
  fleet.Step();
  REQUIRE(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
  fleet.SetSecrets({{kDatabase, 2}});
  CHECK(fleet.RolloutOf().cause == v1::ROLLOUT_CAUSE_PROMOTION);
  fleet.RunUntilQuiet([&] { REQUIRE(fleet.Serving() >= 3); });
  CHECK(fleet.CurrentRelease() == 2);
  CHECK(Given(fleet) == std::map<uint64_t, int>{{2, 3}});
  CHECK(fleet.RolloutFailures().empty());
  fleet.scenario().CheckReplay();
}

TEST_CASE("an import of secrets makes events of what differs, and an environment may be gone",
          "[scheduler][secrets][state]") {
  Fleet fleet;
  fleet.SetSecrets({{kDatabase, 1}});
  const std::string key = ToString(Fleet::Name());
  CHECK(fleet.state().ActiveSecrets(key) == SecretVersions{{kDatabase, 1}});
  secrets::v1::ActiveSecrets active;
  *active.mutable_environment() = Fleet::Name();
  (*active.mutable_versions())[kDatabase] = 1;
  Import import;
  import.source = State::kSecretsSource;
  import.changes[key] = active.SerializeAsString();
  CHECK(fleet.state().Decide(import)->events.empty());
  SECTION("by a change") { import.changes[key] = std::nullopt; }
  SECTION("by a snapshot without it") {
    import.changes.clear();
    import.snapshot = true;
  }
  State state = fleet.state();
  const auto decision = state.Decide(import);
  REQUIRE(decision->events.size() == 2);  // With the source's cursor.
  for (const v1::Event& event : decision->events) state.Apply(event);
  CHECK(state.ActiveSecrets(key).empty());
  CHECK(state.Decide(import)->events.empty());
}

}  // namespace
}  // namespace berth::scheduler
