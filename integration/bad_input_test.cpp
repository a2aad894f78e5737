// What people get wrong, and what an app gets wrong: each is refused or taken back with the reason,
// and what served before serves on.

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/platform.h"
#include "integration/harness/serving.h"

namespace berth::integration {
namespace {

using Catch::Contains;

// What `berth` ends with; cli/exit_code.h promises that scripts may rely on them.
constexpr int kUsage = 2;
constexpr int kNotFound = 3;
constexpr int kConflict = 5;
constexpr int kInvalid = 8;
constexpr int kRolloutFailed = 9;

// One platform for all: none of these tests may leave anything behind that disturbs another.
Platform& Shared() {
  static Platform platform;
  static const bool is_up = [] {
    platform.Up();
    platform.BuildHello();
    return true;
  }();
  (void)is_up;
  return platform;
}

// Deploys what works, for the bad one to come after.
void Serve(const std::string& app) {
  Shared().BerthJson({"deploy", Shared().WriteManifest(app, HelloManifest{.app = app}.ToYaml())});
  REQUIRE(WhyNeverServing(Shared(), app, 2, "1") == "");
}

Finished Deploy(const HelloManifest& manifest) {
  return Shared().Berth({"deploy", Shared().WriteManifest(manifest.app, manifest.ToYaml())});
}

TEST_CASE("a release that ends at once is taken back, with its exit code and last words") {
  Serve("ends");
  const ContainerStarts before = Shared().StartsOf("ends");
  const Finished failed =
      Deploy({.app = "ends", .version = "2", .more = "command: [/hello, --exit, \"3\"]\n"});
  CHECK(failed.exit_code == kRolloutFailed);
  CHECK(failed.out == "");
  CHECK_THAT(failed.err, Contains("exited with 3"));
  CHECK_THAT(failed.err, Contains("hello: exits with 3, as it was told to"));
  CHECK_THAT(failed.err, Contains("release 1 still serves"));
  CHECK(WhyNeverServing(Shared(), "ends", 2, "1") == "");
  CHECK(Shared().StartsOf("ends") == before);
}

TEST_CASE("a release that never becomes ready is taken back at its deadline") {
  Serve("unready");
  const ContainerStarts before = Shared().StartsOf("unready");
  HelloManifest manifest = {.app = "unready", .version = "2"};
  manifest.more = "update: {deadline: 4s}\n";
  std::string yaml = manifest.ToYaml();
  const std::string healthz = "/healthz";
  yaml.replace(yaml.find(healthz), healthz.size(), "/nothing-here");
  const Finished failed = Shared().Berth({"deploy", Shared().WriteManifest("unready", yaml)});
  CHECK(failed.exit_code == kRolloutFailed);
  CHECK_THAT(failed.err, Contains("deadline"));
  CHECK_THAT(failed.err, Contains("404"));
  CHECK_THAT(failed.err, Contains("release 1 still serves"));
  CHECK(WhyNeverServing(Shared(), "unready", 2, "1") == "");
  CHECK(Shared().StartsOf("unready") == before);
}

TEST_CASE("a release that stops working is taken back, with what its live check said") {
  Serve("unlive");
  const ContainerStarts before = Shared().StartsOf("unlive");
  HelloManifest manifest = {.app = "unlive", .version = "2"};
  manifest.more = "update: {min_healthy: 1m}\n";
  std::string yaml = manifest.ToYaml();
  const std::string checks = "checks: {";
  yaml.replace(yaml.find(checks), checks.size(),
               "checks: {live: {exec: [/hello, --exit, \"3\"], interval: 1s, failures: 2}, ");
  const Finished failed = Shared().Berth({"deploy", Shared().WriteManifest("unlive", yaml)});
  CHECK(failed.exit_code == kRolloutFailed);
  CHECK_THAT(failed.err, Contains("its live check failed: command /hello --exit 3: exit code 3"));
  CHECK_THAT(failed.err, Contains("release 1 still serves"));
  CHECK(WhyNeverServing(Shared(), "unlive", 2, "1") == "");
  CHECK(Shared().StartsOf("unlive") == before);
}

TEST_CASE("a release that asks for a label is placed once a host has it") {
  HelloManifest manifest = {.app = "labelled"};
  manifest.more = "placement: {require: {disk: ssd}}\n";
  const Finished failed = Deploy(manifest);
  CHECK(failed.exit_code == kRolloutFailed);
  CHECK_THAT(failed.err, Contains("has no label disk=ssd"));
  const std::string host = Shared().BerthJson({"host", "list"})["items"][0]["name"];
  CHECK(Shared().Berth({"host", "label", host, "disk"}).exit_code == kUsage);
  Shared().BerthJson({"host", "label", host, "disk=ssd"});
  CHECK(Deploy(manifest).exit_code == 0);
  CHECK(WhyNeverServing(Shared(), "labelled", 2, "1") == "");
}

TEST_CASE("an image that is not there is refused before there is a release") {
  const Finished refused = Deploy({.app = "imageless", .image = "localhost/there-is-none"});
  CHECK(refused.exit_code == kNotFound);
  CHECK_THAT(refused.err, Contains("localhost/there-is-none"));
  CHECK_THAT(refused.err, Contains("podman build -t localhost/there-is-none"));
  CHECK(Shared().Berth({"status", "imageless"}).exit_code == kNotFound);
}

TEST_CASE("a process larger than every host fails at once, with the numbers") {
  Serve("large");
  HelloManifest manifest = {.app = "large", .version = "2"};
  std::string yaml = manifest.ToYaml();
  const std::string memory = "16MiB";
  yaml.replace(yaml.find(memory), memory.size(), "12TiB");
  const std::string folder = Shared().WriteManifest("large", yaml);
  // Before hosts report the next time, let alone at the rollout's deadline of five minutes.
  const Finished failed = Shared().Berth({"deploy", folder}, absl::Seconds(10));
  CHECK(failed.exit_code == kRolloutFailed);
  CHECK_THAT(failed.err, Contains("MiB of memory left of "));
  CHECK_THAT(failed.err, Contains("12582912 MiB are needed"));
  CHECK(WhyNeverServing(Shared(), "large", 2, "1") == "");
}

TEST_CASE("a wrong manifest is refused with the place and the nearest name") {
  const std::string folder =
      Shared().WriteManifest("wrong",
                             "schema: berth/v1\napp: wrong\nimage: localhost/hello\n"
                             "processes:\n  web:\n    replica: 2\n");
  const Finished refused = Shared().Berth({"deploy", folder});
  CHECK(refused.exit_code == kInvalid);
  CHECK_THAT(refused.err, Contains(folder + "/berth.yaml:6:5"));
  CHECK_THAT(refused.err, Contains("replicas"));
  CHECK(refused.out == "");
}

TEST_CASE("a manifest beyond the size limit is refused") {
  const std::string folder = Shared().WriteManifest(
      "oversized", HelloManifest{.app = "oversized"}.ToYaml() + std::string(4 << 20, '#') + "\n");
  const Finished refused = Shared().Berth({"deploy", folder});
  CHECK(refused.exit_code == kInvalid);
  CHECK_THAT(refused.err, Contains(folder + "/berth.yaml"));
}

TEST_CASE("a folder without a manifest is refused") {
  const Finished refused = Shared().Berth({"deploy", Shared().folder() + "/no-such-folder"});
  CHECK(refused.exit_code == kNotFound);
  CHECK_THAT(refused.err, Contains("no-such-folder"));
}

TEST_CASE("an app that is not there is not found, whatever is asked about it") {
  const std::vector<std::string> command =
      GENERATE(std::vector<std::string>{"status", "nobody"},
               std::vector<std::string>{"logs", "--app", "nobody"},
               std::vector<std::string>{"scale", "web=2", "--app", "nobody"},
               std::vector<std::string>{"rollback", "--app", "nobody"},
               std::vector<std::string>{"release", "list", "--app", "nobody"});
  CAPTURE(command);
  const Finished refused = Shared().Berth(command);
  CHECK(refused.exit_code == kNotFound);
  CHECK_THAT(refused.err, Contains("nobody"));
  CHECK(refused.out == "");
}

TEST_CASE("without a context a command says how to get one") {
  const std::string config = std::getenv("XDG_CONFIG_HOME");
  setenv("XDG_CONFIG_HOME", (config + "-empty").c_str(), 1);
  const Finished refused = Shared().Berth({"status", "hello"});
  setenv("XDG_CONFIG_HOME", config.c_str(), 1);
  CHECK(refused.exit_code == kConflict);
  CHECK_THAT(refused.err, Contains("berth up") || Contains("berth login"));
}

}  // namespace
}  // namespace berth::integration
