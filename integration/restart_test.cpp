// Daemons that are killed at any moment: what was answered stays, what runs is left alone, and what
// was begun is finished once they are back.

#include <catch2/catch.hpp>
#include <iostream>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/testing/eventually.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/http.h"
#include "integration/harness/long_run.h"
#include "integration/harness/platform.h"
#include "integration/harness/serving.h"
#include "integration/harness/traffic.h"

namespace berth::integration {
namespace {

constexpr char kRoute[] = "  plain: {listen: tcp/7070, to: web.http}\n";
constexpr char kUrl[] = "http://127.0.0.1:7070/";
constexpr int kRequestsPerSecond = 50;
constexpr absl::Duration kEdgeReadyMax = absl::Seconds(1);
// Of one that nothing is in the way of.
constexpr absl::Duration kRolloutMax = absl::Seconds(45);
// After its start, a command is being carried out for about so long.
constexpr int kMomentMillisecondsMax = 600;

std::string Deploy(const Platform& platform, const HelloManifest& manifest) {
  return platform.BerthJson({"deploy", platform.WriteManifest(manifest.app, manifest.ToYaml())})
      .at("release");
}

std::set<std::string> Releases(const Platform& platform, const std::string& app) {
  std::set<std::string> numbers;
  const Json list = platform.BerthJson({"release", "list", "--app", app});
  for (const Json& release : list.at("items")) numbers.insert(release.at("number"));
  return numbers;
}

// Seeded by the clock unless BERTH_SEED says how; the seed is printed, so that a failure can be
// repeated as far as real processes can.
std::mt19937 SeededRandom() {
  const char* given = std::getenv("BERTH_SEED");
  const uint32_t seed = given == nullptr ? std::random_device()() : std::stoul(given);
  std::cout << "BERTH_SEED=" << seed << "\n";
  return std::mt19937(seed);
}

void CheckNoneFailed(Traffic& traffic) {
  CHECK(traffic.Stop().failures == std::vector<std::string>());
}

// Deploys version after version and scales, killing the daemon at a random moment of each. Clients
// ask all the time, and are answered whenever there is an edge.
void SurvivesKillsOf(const std::string& daemon) {
  const int rounds = UsualOr(3, 20);
  std::mt19937 random = SeededRandom();
  Platform platform;
  platform.Up();
  platform.BuildHello();
  // Nobody touches this one.
  Deploy(platform, {.app = "steady"});
  const ContainerStarts steady = platform.StartsOf("steady");
  REQUIRE(steady.size() == 2);
  std::set<std::string> answered = {Deploy(platform, {.routes = kRoute})};
  REQUIRE(Get(kUrl).status == 200);

  for (int round = 1; round <= rounds; ++round) {
    const std::string version = absl::StrCat("v", round);
    const size_t replicas = 1 + round % 2;
    CAPTURE(daemon, round);
    const HelloManifest manifest = {.replicas = replicas, .version = version, .routes = kRoute};
    const std::string folder = platform.WriteManifest("hello", manifest.ToYaml());
    std::optional<Traffic> traffic(std::in_place, kUrl, kRequestsPerSecond);
    Program deploy = platform.StartBerth({"deploy", folder, "-o", "json"});
    Program acknowledged =
        platform.StartBerth({"scale", "web=3", "--app", "hello", "--no-wait", "-o", "json"});
    const absl::Duration moment =
        absl::Milliseconds(static_cast<int>(random() % kMomentMillisecondsMax));
    (void)testing::Eventually(moment, [&] { return deploy.HasEnded(); });
    if (daemon == "edge") CheckNoneFailed(*traffic);
    platform.Kill(daemon);
    platform.Up();
    if (daemon == "edge") {
      CHECK(testing::Eventually(kEdgeReadyMax, [] { return Get(kUrl).status == 200; }));
      traffic.emplace(kUrl, kRequestsPerSecond);
    }

    // The scale may have come before or after the deploy, or not at all; the answer counts.
    const Finished scaled = acknowledged.Wait(absl::Seconds(60));
    if (scaled.exit_code == 0) answered.insert(Json::parse(scaled.out).at("release"));
    if (!testing::Eventually(kRolloutMax, [&] { return deploy.HasEnded(); })) {
      FAIL("the deploy still waits:\n" << platform.Berth({"status", "hello", "-o", "json"}).out);
    }
    const Finished deployed = deploy.Wait(absl::ZeroDuration());
    INFO(deployed.err);
    if (deployed.exit_code == 0) answered.insert(Json::parse(deployed.out).at("release"));

    // Whatever became of both, the person deploys again, and it comes true.
    answered.insert(Deploy(platform, manifest));
    CHECK(WhyNeverServing(platform, "hello", replicas, version) == "");
    CheckNoneFailed(*traffic);
    const std::set<std::string> releases = Releases(platform, "hello");
    for (const std::string& release : answered) {
      INFO("release " << release << " was answered");
      CHECK(releases.count(release) == 1);
    }
    CHECK(platform.StartsOf("steady") == steady);
    CHECK(WhyNotServing(platform, "steady", 2, "1") == "");
  }
}

TEST_CASE("a server that is killed forgets nothing it has answered") { SurvivesKillsOf("server"); }

TEST_CASE("an agent that is killed restarts nothing that runs") { SurvivesKillsOf("agent"); }

TEST_CASE("an edge that is killed holds up no deploy, and serves as soon as it is back") {
  SurvivesKillsOf("edge");
}

TEST_CASE("instances serve while the whole platform is away, and are adopted") {
  constexpr absl::Duration kAway = absl::Seconds(10);
  Platform platform;
  platform.Up();
  platform.BuildHello();
  Deploy(platform, {});
  REQUIRE(WhyNeverServing(platform, "hello", 2, "1") == "");
  const std::vector<Instance> instances = platform.Instances("hello");
  const ContainerStarts before = platform.Starts();
  platform.Kill("server");

  // Longer than the agent's reports and the first of its attempts to reconnect.
  int asked = 0;
  std::string failure;
  const auto all_answer = [&] {
    for (const Instance& instance : instances) {
      const Page page = Get(instance.Url());
      ++asked;
      if (page.status != 200) failure = absl::StrCat(instance.id, ": ", page.error);
    }
    return failure.empty();
  };
  CHECK_FALSE(testing::Eventually(kAway, [&] { return !all_answer(); }));
  CHECK(failure == "");
  CHECK(asked > 100);

  // An agent that starts with nobody to ask adopts what runs, and leaves it alone.
  platform.Kill("agent");
  {
    const Program agent = platform.StartDaemon("agent");
    for (const Instance& instance : instances) {
      INFO(instance.id);
      CHECK(testing::Eventually(absl::Seconds(20), [&] {
        const std::string log = agent.ErrSoFar();
        return absl::StrContains(log, "adopted") && absl::StrContains(log, instance.id);
      }));
    }
    CHECK(all_answer());
    CHECK(platform.Starts() == before);
  }

  platform.Up();
  CHECK(WhyNeverServing(platform, "hello", 2, "1") == "");
  CHECK(platform.Starts() == before);
}

}  // namespace
}  // namespace berth::integration
