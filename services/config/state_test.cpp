#include "services/config/state.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/testing/scenario.h"

namespace berth::config {
namespace {

using berth::testing::Scenario;

const std::string kFirst = absl::StrCat("registry.example/notes@sha256:", std::string(64, '1'));
const std::string kSecond = absl::StrCat("registry.example/notes@sha256:", std::string(64, '2'));

DecisionContext Context() {
  DecisionContext context;
  context.principal = "user/admin";
  context.now = absl::FromUnixSeconds(1'700'000'000);
  return context;
}

std::string ReadTopic(const TopicKey&, const std::string& value) {
  v1::Environment environment;
  REQUIRE(environment.ParseFromString(value));
  return environment.DebugString();
}

types::v1::EnvironmentName Notes() {
  types::v1::EnvironmentName name;
  name.set_org("home");
  name.set_app("notes");
  name.set_env("production");
  return name;
}

// The app notes with two process types that say nothing of replicas.
v1::Manifest Manifest() {
  v1::Manifest manifest;
  manifest.set_app("notes");
  (*manifest.mutable_processes())["web"].add_command("serve");
  (*manifest.mutable_processes())["worker"].add_command("work");
  return manifest;
}

v1::DeployRequest Deploy(const std::string& image) {
  v1::DeployRequest request;
  request.set_org("home");
  request.set_image(image);
  return request;
}

v1::ScaleRequest Scale(const std::string& type, uint32_t replicas) {
  v1::ScaleRequest request;
  *request.mutable_environment() = Notes();
  (*request.mutable_replicas())[type] = replicas;
  return request;
}

v1::RollbackRequest Rollback(uint64_t release = 0) {
  v1::RollbackRequest request;
  *request.mutable_environment() = Notes();
  request.set_release(release);
  return request;
}

v1::ReportRolloutRequest Report(uint64_t promotion, const std::string& failure = "") {
  v1::ReportRolloutRequest request;
  *request.mutable_environment() = Notes();
  request.set_promotion(promotion);
  request.set_failure(failure);
  return request;
}

struct Config : Scenario<State> {
  Config() : Scenario(ReadTopic) {}

  v1::Environment Environment() const { return *state().FindEnvironment(Notes()); }

  // A deploy whose rollout ends well.
  void GivenDeployed(const std::string& image) {
    const auto outcome = When(Deploy(image), Manifest(), Context());
    When(Report(outcome.ThenDone().promotion()), Context()).ThenDone();
  }
};

TEST_CASE("a first deploy makes the environment and its release 1", "[config][state]") {
  Config config;
  const auto outcome = config.When(Deploy(kFirst), Manifest(), Context());
  const v1::DeployResponse& response = outcome.ThenDone();
  CHECK(response.release() == 1);
  CHECK(response.promotion() == 1);
  CHECK_FALSE(response.unchanged());
  CHECK(response.environment().env() == State::kDefaultEnvironment);
  REQUIRE(outcome.events().size() == 3);
  CHECK(outcome.events()[0].has_environment_created());
  const v1::Release& release = outcome.events()[1].release_created().release();
  CHECK(release.image() == kFirst);
  CHECK(release.created_by() == "user/admin");
  CHECK(release.replicas().at("web") == State::kReplicasDefault);
  CHECK(outcome.events()[2].release_promoted().release() == 1);
  const v1::Environment environment = config.Environment();
  CHECK(environment.desired().number() == 1);
  CHECK(environment.current_release() == 0);
  CHECK(environment.rollout() == v1::ROLLOUT_STATE_RUNNING);
  config.CheckReplay();
}

TEST_CASE("the same again is no new release", "[config][state]") {
  Config config;
  config.When(Deploy(kFirst), Manifest(), Context()).ThenDone();
  SECTION("while it is rolled out, and afterwards") {
    if (GENERATE(false, true)) config.When(Report(1), Context()).ThenDone();
    const auto outcome = config.When(Deploy(kFirst), Manifest(), Context());
    CHECK(outcome.ThenNothing().unchanged());
    CHECK(outcome.ThenNothing().release() == 1);
    CHECK(outcome.ThenNothing().promotion() == 1);
  }
  SECTION("but after a failure it is another try") {
    config.GivenDeployed(kSecond);
    config.When(Deploy(kFirst), Manifest(), Context()).ThenDone();
    config.When(Report(3, "it exited"), Context()).ThenDone();
    CHECK(config.When(Deploy(kFirst), Manifest(), Context()).ThenDone().release() == 4);
  }
  SECTION("another image, another manifest and another environment are") {
    CHECK(config.When(Deploy(kSecond), Manifest(), Context()).ThenDone().release() == 2);
    v1::Manifest manifest = Manifest();
    manifest.mutable_processes()->at("web").add_command("--verbose");
    CHECK(config.When(Deploy(kSecond), manifest, Context()).ThenDone().release() == 3);
    v1::DeployRequest staging = Deploy(kSecond);
    staging.set_env("staging");
    CHECK(config.When(staging, manifest, Context()).ThenDone().release() == 1);
  }
}

TEST_CASE("what is deployed is pinned by a digest", "[config][state]") {
  Config config;
  const std::string digest(64, 'a');
  const std::string image =
      GENERATE_COPY(as<std::string>(), "", "notes", "notes:1", "notes@sha256:", "@sha256:" + digest,
                    "notes@sha256:" + digest.substr(1), "notes@sha256:" + digest + "a",
                    "notes@sha256:" + digest.substr(1) + "G",
                    "notes@sha256:" + digest.substr(1) + "A", "notes@sha512:" + digest);
  CAPTURE(image);
  config.When(Deploy(image), Manifest(), Context())
      .ThenRefused(absl::StatusCode::kInvalidArgument, "not pinned");
}

TEST_CASE("names that are none are refused", "[config][state]") {
  Config config;
  v1::DeployRequest request = Deploy(kFirst);
  v1::Manifest manifest = Manifest();
  SECTION("of the org") { request.set_org("Home"); }
  SECTION("of no org") { request.set_org(""); }
  SECTION("of the app") { manifest.set_app("no/tes"); }
  SECTION("of the environment") { request.set_env("pro duction"); }
  SECTION("of an org that the manifest is not for") { manifest.set_org("globex"); }
  config.When(request, manifest, Context()).ThenRefused(absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a count that the manifest does not name is kept", "[config][state]") {
  Config config;
  config.GivenDeployed(kFirst);
  config.When(Scale("web", 5), Context()).ThenDone();
  v1::Manifest manifest = Manifest();
  SECTION("by the next deploy") {
    config.When(Deploy(kSecond), manifest, Context()).ThenDone();
    CHECK(config.Environment().desired().replicas().at("web") == 5);
    CHECK(config.Environment().desired().replicas().at("worker") == 1);
  }
  SECTION("unless it names one now") {
    manifest.mutable_processes()->at("web").set_replicas(0);
    config.When(Deploy(kSecond), manifest, Context()).ThenDone();
    CHECK(config.Environment().desired().replicas().at("web") == 0);
  }
  SECTION("and a process type that is gone has none") {
    manifest.mutable_processes()->erase("worker");
    config.When(Deploy(kSecond), manifest, Context()).ThenDone();
    CHECK_FALSE(config.Environment().desired().replicas().contains("worker"));
  }
}

TEST_CASE("a change of scale is a release of the same content", "[config][state]") {
  Config config;
  config.GivenDeployed(kFirst);
  const v1::Release before = config.Environment().desired();
  const auto outcome = config.When(Scale("web", 3), Context());
  CHECK(outcome.ThenDone().release() == 2);
  const v1::Release after = config.Environment().desired();
  CHECK(after.image() == before.image());
  CHECK(after.manifest_digest() == before.manifest_digest());
  CHECK(after.replicas().at("web") == 3);
  CHECK(after.replicas().at("worker") == 1);
  CHECK(after.origin() == "scale of release 1");
  SECTION("the same count changes nothing") {
    CHECK(config.When(Scale("web", 3), Context()).ThenNothing().unchanged());
  }
  SECTION("a process type that is not there is refused, with those that are") {
    config.When(Scale("wbe", 3), Context())
        .ThenRefused(absl::StatusCode::kNotFound, "only web, worker");
  }
  SECTION("as are too many, and a change of nothing") {
    config.When(Scale("web", State::kReplicasMax), Context()).ThenDone();
    config.When(Scale("web", State::kReplicasMax + 1), Context())
        .ThenRefused(absl::StatusCode::kInvalidArgument, "1000");
    v1::ScaleRequest nothing;
    *nothing.mutable_environment() = Notes();
    config.When(nothing, Context()).ThenRefused(absl::StatusCode::kInvalidArgument);
  }
  config.CheckReplay();
}

TEST_CASE("what is not there cannot be scaled, rolled back or reported", "[config][state]") {
  Config config;
  config.When(Scale("web", 1), Context()).ThenRefused(absl::StatusCode::kNotFound, "no app notes");
  config.When(Rollback(), Context()).ThenRefused(absl::StatusCode::kNotFound);
  config.When(Report(1), Context()).ThenRefused(absl::StatusCode::kNotFound);
  CHECK(config.state().ReleasesOf(Notes()).status().code() == absl::StatusCode::kNotFound);
  v1::DeployRequest staging = Deploy(kFirst);
  staging.set_env("staging");
  config.When(staging, Manifest(), Context()).ThenDone();
  config.When(Rollback(), Context())
      .ThenRefused(absl::StatusCode::kNotFound, "no environment production");
}

TEST_CASE("a rollback promotes an earlier release", "[config][state]") {
  Config config;
  config.GivenDeployed(kFirst);
  SECTION("of which there is none at first") {
    config.When(Rollback(), Context())
        .ThenRefused(absl::StatusCode::kNotFound, "no earlier release");
  }
  SECTION("the one before, and then back again") {
    config.GivenDeployed(kSecond);
    CHECK(config.When(Rollback(), Context()).ThenDone().release() == 1);
    CHECK(config.Environment().desired().image() == kFirst);
    config.When(Report(3), Context()).ThenDone();
    CHECK(config.When(Rollback(), Context()).ThenDone().release() == 2);
  }
  SECTION("while a rollout runs, the current one") {
    config.When(Deploy(kSecond), Manifest(), Context()).ThenDone();
    const auto outcome = config.When(Rollback(), Context());
    CHECK(outcome.ThenDone().release() == 1);
    CHECK(outcome.ThenDone().promotion() == 3);
  }
  SECTION("the one that is named") {
    config.GivenDeployed(kSecond);
    config.GivenDeployed(kFirst);
    CHECK(config.When(Rollback(1), Context()).ThenDone().release() == 1);
    config.When(Rollback(9), Context()).ThenRefused(absl::StatusCode::kNotFound, "no release 9");
  }
  SECTION("to what is desired already is nothing") {
    CHECK(config.When(Rollback(1), Context()).ThenNothing().promotion() == 1);
  }
  config.CheckReplay();
}

TEST_CASE("a rollout that ended well makes its release the current one", "[config][state]") {
  Config config;
  config.GivenDeployed(kFirst);
  CHECK(config.Environment().current_release() == 1);
  CHECK(config.Environment().rollout() == v1::ROLLOUT_STATE_SUCCEEDED);
  SECTION("said twice it is said once") { config.When(Report(1), Context()).ThenNothing(); }
  SECTION("a late word about it changes nothing any more") {
    config.When(Report(1, "too late"), Context()).ThenNothing();
    config.When(Deploy(kSecond), Manifest(), Context()).ThenDone();
    config.When(Report(1, "too late"), Context()).ThenNothing();
    CHECK(config.Environment().rollout() == v1::ROLLOUT_STATE_RUNNING);
  }
}

TEST_CASE("a rollout that failed returns to the current release", "[config][state]") {
  Config config;
  SECTION("where there is one") {
    config.GivenDeployed(kFirst);
    config.When(Deploy(kSecond), Manifest(), Context()).ThenDone();
    config.When(Report(2, "web-1 exited with 1"), Context()).ThenDone();
    const v1::Environment environment = config.Environment();
    CHECK(environment.desired().number() == 1);
    CHECK(environment.current_release() == 1);
    CHECK(environment.newest_release() == 2);
    CHECK(environment.promotion() == 3);
    CHECK(environment.rollout() == v1::ROLLOUT_STATE_FAILED);
    CHECK(environment.rollout_reason() == "web-1 exited with 1");
    SECTION("and how that return ended changes nothing, whatever it was") {
      config.When(Report(3), Context()).ThenNothing();
      config.When(Report(3, "failed too"), Context()).ThenNothing();
    }
  }
  SECTION("where there is none, to nothing") {
    config.When(Deploy(kFirst), Manifest(), Context()).ThenDone();
    config.When(Report(1, "no"), Context()).ThenDone();
    CHECK_FALSE(config.Environment().has_desired());
    config.When(Scale("web", 2), Context()).ThenRefused(absl::StatusCode::kFailedPrecondition);
    CHECK(config.When(Deploy(kFirst), Manifest(), Context()).ThenDone().promotion() == 3);
  }
  config.CheckReplay();
}

TEST_CASE("releases are listed newest first, environments by org", "[config][state]") {
  Config config;
  config.GivenDeployed(kFirst);
  config.GivenDeployed(kSecond);
  const auto releases = config.state().ReleasesOf(Notes());
  REQUIRE(releases.ok());
  REQUIRE(releases->size() == 2);
  CHECK((*releases)[0].number() == 2);
  v1::DeployRequest elsewhere = Deploy(kFirst);
  elsewhere.set_org("globex");
  config.When(elsewhere, Manifest(), Context()).ThenDone();
  CHECK(config.state().EnvironmentsOf("home").size() == 1);
  CHECK(config.state().EnvironmentsOf("nobody").empty());
}

v1::DeleteEnvironmentRequest Delete() {
  v1::DeleteEnvironmentRequest request;
  *request.mutable_environment() = Notes();
  return request;
}

TEST_CASE("a deleted environment wants nothing and is gone once that is so", "[config][state]") {
  Config config;
  config.GivenDeployed(kFirst);
  CHECK(config.When(Delete(), Context()).ThenDone().promotion() == 2);
  CHECK(config.Environment().deleted());
  CHECK_FALSE(config.Environment().has_desired());
  CHECK(config.Environment().rollout() == v1::ROLLOUT_STATE_RUNNING);
  CHECK(config.When(Delete(), Context()).ThenNothing().unchanged());
  config.When(Rollback(), Context()).ThenRefused(absl::StatusCode::kNotFound);
  config.When(Scale("web", 2), Context()).ThenRefused(absl::StatusCode::kFailedPrecondition);

  config.When(Report(2), Context()).ThenDone();
  CHECK(absl::IsNotFound(config.state().FindEnvironment(Notes()).status()));
  CHECK(config.state().EnvironmentsOf("home").empty());
  config.When(Delete(), Context()).ThenRefused(absl::StatusCode::kNotFound);
  // The scheduler, which was not heard to have been heard, says it again.
  config.When(Report(2), Context()).ThenNothing();
  config.CheckReplay();

  SECTION("deployed to again, it counts on") {
    const auto outcome = config.When(Deploy(kFirst), Manifest(), Context());
    CHECK(outcome.ThenDone().release() == 2);
    CHECK(outcome.ThenDone().promotion() == 3);
    CHECK_FALSE(config.Environment().deleted());
    config.CheckReplay();
  }
  SECTION("a rollback to a release that is named brings it back") {
    config.When(Rollback(), Context()).ThenRefused(absl::StatusCode::kNotFound, "no app notes");
    config.When(Rollback(9), Context()).ThenRefused(absl::StatusCode::kNotFound, "no release 9");
    const auto outcome = config.When(Rollback(1), Context());
    CHECK(outcome.ThenDone().release() == 1);
    CHECK(outcome.ThenDone().promotion() == 3);
    CHECK(config.Environment().desired().image() == kFirst);
    CHECK_FALSE(config.Environment().deleted());
    config.CheckReplay();
  }
}

TEST_CASE("an environment that could not be taken away whole is still there", "[config][state]") {
  Config config;
  config.GivenDeployed(kFirst);
  config.When(Delete(), Context()).ThenDone();
  config.When(Report(2, "an instance does not stop"), Context()).ThenDone();
  CHECK(config.Environment().rollout() == v1::ROLLOUT_STATE_FAILED);
  // What the failure returns to is nothing, too.
  config.When(Report(3), Context()).ThenNothing();
  CHECK_FALSE(config.Environment().has_desired());
  CHECK(config.When(Delete(), Context()).ThenDone().promotion() == 4);
}

TEST_CASE("every state of config that was ever saved is taken up", "[config][stored]") {
  testing::CheckStoredStates<State>("config");
}

}  // namespace
}  // namespace berth::config
