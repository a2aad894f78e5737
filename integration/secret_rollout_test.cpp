// The way of a secret to the instances: what waits for it, what is replaced for it, and where it
// lies.

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/runtime/program.h"
#include "common/testing/eventually.h"
#include "integration/harness/core_dump.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/http.h"
#include "integration/harness/platform.h"
#include "integration/harness/serving.h"
#include "integration/harness/traffic.h"

namespace berth::integration {
namespace {

using Catch::Contains;

constexpr char kUrl[] = "http://127.0.0.1:7070/";
constexpr char kLengthUrl[] = "http://127.0.0.1:7070/secret-length?name=DATABASE_URL";
constexpr int kRequestsPerSecond = 100;
constexpr absl::Duration kRolloutMax = absl::Seconds(45);
constexpr absl::Duration kTellMax = absl::Seconds(10);
constexpr uint32_t kHelloUser = 10001;  // Of the image.

// Names one secret, and is reached at kUrl.
std::string Manifest() {
  HelloManifest manifest;
  manifest.more = "secrets: {names: [database-url]}\n";
  return manifest.ToYaml() + "routes:\n  plain: {listen: tcp/7070, to: web.http}\n";
}

void SetSecret(const Platform& platform, const std::string& value) {
  const testing::TempDir folder;
  std::ofstream(folder.File("value"), std::ios::binary) << value;
  platform.BerthJson(
      {"secret", "set", "database-url", "--from-file", folder.File("value"), "--app", "hello"});
}

Json Status(const Platform& platform) { return platform.BerthJson({"status", "hello"}); }

// Whether the app's newest rollout has ended and brings the version.
bool Brought(const Platform& platform, const std::string& version) {
  const Json rollout = Status(platform).at("rollout");
  const Json& versions = rollout.at("secretVersions");
  return rollout.at("phase") == "ROLLOUT_PHASE_SUCCEEDED" && versions.contains("database-url") &&
         versions.at("database-url") == version;
}

// The lengths that instances say the secret has, and how many say so.
std::map<std::string, int> Lengths(const std::vector<Instance>& instances) {
  std::map<std::string, int> lengths;
  for (const Instance& instance : instances) {
    ++lengths[Get(instance.Url("/secret-length?name=DATABASE_URL")).body];
  }
  return lengths;
}

// What Podman says of the instance's container.
Json Inspect(const std::string& instance) {
  const auto inspected = RunProgram({"podman", "container", "inspect", "berth-" + instance},
                                    {.timeout = absl::Seconds(30)});
  REQUIRE(inspected.ok());
  REQUIRE(inspected->exit_code == 0);
  return Json::parse(inspected->output).at(0);
}

// The host's file that the instance finds its secrets in.
std::string SecretsFileOf(const std::string& instance) {
  const Json container = Inspect(instance);
  for (const Json& mount : container.at("Mounts")) {
    if (mount.at("Destination") != "/run/berth/secrets.env") continue;
    CHECK(mount.at("RW") == false);
    return mount.at("Source");
  }
  FAIL("no secrets are mounted into " << instance);
  return "";
}

TEST_CASE("a deploy waits for its secret, goes on once it is set, and is given a changed one") {
  Platform platform;
  platform.Up();
  platform.BuildHello();
  Program deploy =
      platform.StartBerth({"deploy", platform.WriteManifest("hello", Manifest()), "-o", "json"});
  REQUIRE(testing::Eventually(kTellMax, [&] {
    const Finished status = platform.Berth({"status", "hello", "-o", "json"});
    return status.exit_code == 0 &&
           absl::StrContains(status.out,
                             "secret database-url is not set in home/hello/production; "
                             "run: berth secret set database-url");
  }));
  CHECK(platform.Instances("hello").empty());
  CHECK_FALSE(deploy.HasEnded());
  SetSecret(platform, "0123456789");
  const Finished deployed = deploy.Wait(kRolloutMax);
  INFO(deployed.err);
  REQUIRE(deployed.exit_code == 0);
  CHECK_THAT(Get(kUrl).body, Contains("secrets: DATABASE_URL\n"));
  CHECK(Get(kLengthUrl).body == "10\n");

  // Another version, under traffic.
  const ContainerStarts before = platform.StartsOf("hello");
  Traffic traffic(kUrl, kRequestsPerSecond);
  SetSecret(platform, "0123456789abcdef");
  CHECK(testing::Eventually(kRolloutMax, [&] { return Brought(platform, "2"); }));
  const TrafficReport report = traffic.Stop();
  CHECK(report.failures == std::vector<std::string>());
  CHECK(report.answered > 0);
  CHECK(Lengths(platform.Instances("hello")) == std::map<std::string, int>{{"16\n", 2}});
  for (const auto& [instance, start] : platform.StartsOf("hello")) {
    CHECK_FALSE(before.contains(instance));
  }
  CHECK(Status(platform).at("rollout").at("cause") == "ROLLOUT_CAUSE_SECRETS");
}

TEST_CASE("a value is in memory only, and an instance has it again without the control plane") {
  const std::string canary = "canary-5c0Kd-of-the-way-to-instances";
  Platform platform;
  platform.Up();
  platform.BuildHello();
  SetSecret(platform, canary);
  platform.BerthJson({"deploy", platform.WriteManifest("hello", Manifest())});
  const std::vector<Instance> instances = platform.Instances("hello");
  REQUIRE(instances.size() == 2);
  std::set<std::string> files;
  for (const Instance& instance : instances) {
    const std::string file = SecretsFileOf(instance.id);
    files.insert(file);
    CHECK(FileContains(file, canary));
    struct stat status;
    REQUIRE(stat(file.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0400);
    CHECK(status.st_uid == kHelloUser);
    CHECK_THAT(Inspect(instance.id).dump(), !Contains(canary));
  }
  CHECK(files.size() == 2);
  CHECK(FilesWith(platform.folder(), canary) == std::vector<std::string>());

  // What a restart of the machine leaves: neither containers nor memory. And nobody to ask.
  platform.Kill("server");
  platform.Kill("agent");
  const auto removed = RunProgram({"podman", "rm", "--all", "--force", "--time", "0"},
                                  {.timeout = absl::Seconds(60)});
  REQUIRE(removed.ok());
  const std::filesystem::path memory =
      std::filesystem::path(*files.begin()).parent_path().parent_path();
  (void)RunProgram({"umount", "--lazy", memory.string()}, {.timeout = absl::Seconds(10)});
  std::filesystem::remove_all(memory);
  REQUIRE_FALSE(std::filesystem::exists(*files.begin()));
  {
    const Program agent = platform.StartDaemon("agent");
    CHECK(testing::Eventually(kRolloutMax, [&] {
      const std::map<std::string, int> lengths = Lengths(instances);
      return lengths == std::map<std::string, int>{{absl::StrCat(canary.size(), "\n"), 2}};
    }));
    for (const std::string& file : files) CHECK(FileContains(file, canary));
    CHECK(FilesWith(platform.folder(), canary) == std::vector<std::string>());
  }
  platform.Up();
  CHECK(WhyNeverServing(platform, "hello", 2, "1") == "");

  platform.Purge();
  for (const std::string& file : files) CHECK_FALSE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace berth::integration
