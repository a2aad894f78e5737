// The life of an app, from its first deploy to a rollback.

#include <signal.h>

#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/match.h"
#include "common/testing/eventually.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/http.h"
#include "integration/harness/platform.h"
#include "integration/harness/serving.h"

namespace berth::integration {
namespace {

constexpr absl::Duration kRolloutMax = absl::Seconds(90);

// Waits for the command while asking all that serve, again and again: at every moment at least
// `count` answer, and nobody who is ready does not.
void ServesThroughout(const Platform& platform, const std::string& app, int count,
                      const std::vector<std::string>& command) {
  constexpr int kMomentsMin = 3;
  Program rollout = platform.StartBerth(command);
  int moments = 0;
  std::set<std::string> versions;
  while (!rollout.HasEnded()) {
    const Serving serving = AskAll(platform, app);
    INFO("moment " << moments);
    REQUIRE(serving.failures == std::vector<std::string>());
    versions.insert(serving.versions.begin(), serving.versions.end());
    if (serving.overtaken) continue;
    REQUIRE(serving.answering >= count);
    ++moments;
  }
  const Finished finished = rollout.Wait(kRolloutMax);
  INFO(finished.err);
  REQUIRE(finished.exit_code == 0);
  CHECK(moments >= kMomentsMin);
  // Both were met, so the old ones served until the new ones did.
  CHECK(versions.size() == 2);
}

TEST_CASE("an app is deployed, scaled, updated and rolled back while it serves") {
  Platform platform;
  platform.Up();

  // The image is made when everything runs already, and moments before it is needed.
  platform.BuildHello();
  const std::string folder = platform.WriteManifest("hello", HelloManifest().ToYaml());
  const Json first = platform.BerthJson({"deploy", folder});
  CHECK(first.at("release") == "1");
  CHECK(first.at("unchanged") == false);
  CHECK(first.at("instances").size() == 2);
  REQUIRE(WhyNotServing(platform, "hello", 2, "1") == "");
  const ContainerStarts two = platform.StartsOf("hello");
  REQUIRE(two.size() == 2);

  // What is deployed already makes no release.
  const Json again = platform.BerthJson({"deploy", folder});
  CHECK(again.at("unchanged") == true);
  CHECK(again.at("release") == "1");
  CHECK(platform.BerthJson({"release", "list", "--app", "hello"}).at("items").size() == 1);
  CHECK(platform.StartsOf("hello") == two);

  // Another count replaces nothing.
  platform.BerthJson({"scale", "web=3", "--app", "hello"});
  REQUIRE(WhyNotServing(platform, "hello", 3, "1") == "");
  const ContainerStarts three = platform.StartsOf("hello");
  CHECK(three.size() == 3);
  for (const auto& [instance, start] : two) {
    INFO(instance);
    REQUIRE(three.count(instance) == 1);
    CHECK(three.at(instance) == start);
  }

  // A new version, which says nothing about the count, starts first and stops afterwards.
  platform.WriteManifest("hello", HelloManifest{.replicas = std::nullopt, .version = "2"}.ToYaml());
  ServesThroughout(platform, "hello", 3, {"deploy", folder});
  REQUIRE(WhyNeverServing(platform, "hello", 3, "2") == "");
  for (const auto& [instance, start] : platform.Starts()) {
    INFO(instance);
    CHECK(three.count(instance) == 0);
  }

  // And back, while somebody follows what is printed: by the old instances, then by the new ones.
  Program follower = platform.StartBerth({"logs", "-f", "--tail", "0", "--app", "hello"});
  ServesThroughout(platform, "hello", 3, {"rollback", "--app", "hello"});
  REQUIRE(WhyNeverServing(platform, "hello", 3, "1") == "");
  const Instance new_one = platform.Instances("hello").front();
  REQUIRE(Get(new_one.Url("/of-the-new-ones")).status == 404);
  CHECK(testing::Eventually(absl::Seconds(20), [&] {
    return absl::StrContains(follower.OutSoFar(), "GET /of-the-new-ones 404");
  }));
  kill(follower.pid(), SIGINT);
  CHECK(follower.Wait(absl::Seconds(20)).exit_code == 130);

  const Instance asked = platform.Instances("hello").front();
  REQUIRE(Get(asked.Url("/a-page-nobody-else-asks-for")).status == 404);
  const Finished logs =
      platform.Berth({"logs", "--app", "hello", "--instance", asked.id, "--tail", "1000"});
  CHECK(logs.exit_code == 0);
  CHECK_THAT(logs.out, Catch::Contains("GET /a-page-nobody-else-asks-for 404"));
}

TEST_CASE("an image of its own is a new release, too") {
  Platform platform;
  platform.Up();
  platform.BuildHello();
  const std::string folder = platform.WriteManifest("hello", HelloManifest{.replicas = 1}.ToYaml());
  platform.BerthJson({"deploy", folder});
  platform.BuildHello("localhost/hello", "LABEL built=again");
  const Json second = platform.BerthJson({"deploy", folder});
  CHECK(second.at("release") == "2");
  CHECK(WhyNeverServing(platform, "hello", 1, "1") == "");
  const Json releases = platform.BerthJson({"release", "list", "--app", "hello"}).at("items");
  CHECK(releases.at(0).at("image") != releases.at(1).at("image"));
}

TEST_CASE("a deleted environment leaves nothing, and its routes are free for others") {
  constexpr char kUrl[] = "http://127.0.0.1:7070/";
  constexpr char kRoute[] = "routes:\n  plain: {listen: tcp/7070, to: web.http}\n";
  Platform platform;
  platform.Up();
  platform.BuildHello();
  const std::string folder = platform.WriteManifest("hello", HelloManifest().ToYaml() + kRoute);
  platform.BerthJson({"deploy", folder});
  REQUIRE(Get(kUrl).status == 200);

  const Finished unconfirmed = platform.Berth({"env", "delete", "hello"});
  CHECK(unconfirmed.exit_code == 2);
  CHECK(Get(kUrl).status == 200);
  platform.BerthJson({"env", "delete", "hello", "--yes"});
  // Stopped by then, and removed in a moment.
  CHECK(testing::Eventually(absl::Seconds(10), [&] { return platform.Starts().empty(); }));
  CHECK(platform.Berth({"status", "hello"}).exit_code == 3);
  CHECK(platform.BerthJson({"env", "list"}).at("items").empty());
  CHECK(platform.Berth({"env", "delete", "hello", "--yes"}).exit_code == 3);

  platform.BerthJson({"deploy", platform.WriteManifest(
                                    "second", HelloManifest{.app = "second"}.ToYaml() + kRoute)});
  CHECK(Get(kUrl).status == 200);
  // Its numbers are not used again.
  platform.BerthJson({"env", "delete", "second", "--yes"});
  CHECK(platform.BerthJson({"deploy", folder}).at("release") == "2");
  CHECK(Get(kUrl).status == 200);
}

}  // namespace
}  // namespace berth::integration
