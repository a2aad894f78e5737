// `berth why` tells situations apart that look alike from outside, by predicate and object, and
// says that all is well once each has ended.

#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <functional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/net/unique_fd.h"
#include "common/testing/eventually.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/platform.h"
#include "integration/harness/serving.h"

namespace berth::integration {
namespace {

constexpr int kRolloutFailed = 9;
constexpr int kDegraded = 21;
constexpr int kDown = 22;
// Silence counts sooner than by default, so that the tests need not wait a minute. Long enough for
// an agent that is there to report in between.
constexpr char kLiveness[] = "liveness: {stale_after: 7s, lost_after: 14s}\n";
constexpr absl::Duration kSilenceNoticedMax = absl::Seconds(40);
constexpr absl::Duration kConvergedMax = absl::Seconds(60);

// One platform for all: each test ends the situation it makes.
Platform& Shared() {
  static Platform platform;
  static const bool is_up = [] {
    platform.Up();
    std::ofstream(platform.folder() + "/server.yaml", std::ios::app) << kLiveness;
    platform.Kill("server");
    platform.Up();
    platform.BuildHello();
    return true;
  }();
  (void)is_up;
  return platform;
}

// The answer: predicate, and kind and name of the object; "converged" where all is well.
std::string Why(const std::string& app, int* exit_code = nullptr) {
  const Finished asked = Shared().Berth({"why", "--app", app, "-o", "json"});
  if (exit_code != nullptr) *exit_code = asked.exit_code;
  const Json document = Json::parse(asked.out, nullptr, false);
  if (document.is_discarded()) return asked.err;
  CHECK(document.at("kind") == "Explanation");
  CHECK((asked.exit_code == 0) == document.at("converged").get<bool>());
  if (document.at("converged")) return "converged";
  const Json& last = document.at("predicates").back();
  CHECK_FALSE(last.at("sentence").get<std::string>().empty());
  return absl::StrCat(last.at("id").get<std::string>(), " ",
                      last.at("object").at("kind").get<std::string>(), " ",
                      last.at("object").at("name").get<std::string>());
}

// What Why says in the end: `wanted`, or the last other answer.
std::string EventuallyWhy(const std::string& app, const std::string& wanted,
                          absl::Duration limit = kConvergedMax) {
  std::string said;
  testing::Eventually(limit, [&] {
    said = Why(app);
    return said == wanted;
  });
  return said;
}

std::string HostName() { return Shared().BerthJson({"host", "list"}).at("items").at(0).at("name"); }

// The edge of this machine is called as its host.
std::string EdgeName() { return HostName(); }

// `yaml` is the manifest of `app`.
Finished Deploy(const std::string& app, const std::string& yaml) {
  return Shared().Berth({"deploy", Shared().WriteManifest(app, yaml)});
}

std::string Replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

// Deploys what works, before the situation or as its end.
void Serve(const HelloManifest& manifest, const std::string& routes = "") {
  const Finished deployed = Deploy(manifest.app, manifest.ToYaml() + routes);
  INFO(deployed.err);
  REQUIRE(deployed.exit_code == 0);
  CHECK(EventuallyWhy(manifest.app, "converged") == "converged");
}

// The instance that the newest deploy failed by.
std::string FailedInstance(const Finished& deployed) {
  const std::string before = "instance ";
  const size_t at = deployed.err.find(before);
  REQUIRE(at != std::string::npos);
  const size_t begin = at + before.size();
  return deployed.err.substr(begin, deployed.err.find_first_of(" :\n", begin) - begin);
}

TEST_CASE("no host has the memory") {
  const HelloManifest manifest = {.app = "large"};
  Serve(manifest);
  const std::string yaml = HelloManifest{.app = "large", .version = "2"}.ToYaml();
  CHECK(Deploy("large", Replaced(yaml, "16MiB", "12TiB")).exit_code == kRolloutFailed);
  int exit_code = 0;
  CHECK(Why("large", &exit_code) == "host-fits process web");
  CHECK(exit_code == kDegraded);
  CHECK_THAT(Shared().Berth({"why", "--app", "large"}).out,
             Catch::Contains("MiB of memory left of") && Catch::Contains("next"));
  CHECK_THAT(Shared().Berth({"status", "large"}).out, Catch::Contains("berth why --app large"));
  Serve({.app = "large", .version = "2"});
  CHECK_THAT(Shared().Berth({"status", "large"}).out, !Catch::Contains("berth why"));
}

TEST_CASE("the image cannot be had") {
  const std::string image = absl::StrCat("127.0.0.1:1/hello@sha256:", std::string(64, '0'));
  HelloManifest manifest = {.app = "imageless", .image = "\"" + image + "\""};
  manifest.more = "update: {deadline: 5s}\n";
  const Finished failed = Deploy("imageless", manifest.ToYaml());
  INFO(failed.err);
  CHECK(failed.exit_code == kRolloutFailed);
  int exit_code = 0;
  CHECK(Why("imageless", &exit_code) == "image-present image " + image);
  CHECK(exit_code == kDown);
  Serve({.app = "imageless"});
}

TEST_CASE("the ready check does not pass") {
  HelloManifest manifest = {.app = "unready"};
  Serve(manifest);
  manifest.version = "2";
  manifest.more = "update: {deadline: 4s}\n";
  const Finished failed =
      Deploy("unready", Replaced(manifest.ToYaml(), "/healthz", "/nothing-here"));
  CHECK(failed.exit_code == kRolloutFailed);
  CHECK(Why("unready") == "probe-passes instance " + FailedInstance(failed));
  Serve(manifest);
}

TEST_CASE("the process exits at once") {
  HelloManifest manifest = {.app = "ends"};
  Serve(manifest);
  manifest.version = "2";
  manifest.more = "command: [/hello, --exit, \"3\"]\n";
  const Finished failed = Deploy("ends", manifest.ToYaml());
  CHECK(failed.exit_code == kRolloutFailed);
  CHECK(Why("ends") == "instance-started instance " + FailedInstance(failed));
  CHECK_THAT(Shared().Berth({"why", "--app", "ends"}).out,
             Catch::Contains("hello: exits with 3, as it was told to"));
  manifest.more = "";
  Serve(manifest);
}

TEST_CASE("a process that gave up starts again by a restart") {
  Serve({.app = "weary", .replicas = 1});
  const std::string id = Shared().Instances("weary").front().id;
  const std::string wanted = "instance-started instance " + id;
  // Each time it is started anew, until it is not any more.
  CHECK(testing::Eventually(kConvergedMax, [&id] {
    const std::string containers =
        MustRun({"podman", "ps", "--quiet", "--filter", "label=berth.instance=" + id});
    for (absl::string_view container : absl::StrSplit(containers, '\n', absl::SkipEmpty())) {
      (void)Run({"podman", "kill", std::string(container)});
    }
    const std::string said = Shared().Berth({"why", "--app", "weary"}).out;
    return absl::StrContains(said, "it is not started again");
  }));
  CHECK(Why("weary") == wanted);
  const Finished restarted = Shared().Berth({"restart", "web", "--app", "weary"});
  INFO(restarted.err);
  CHECK(restarted.exit_code == 0);
  CHECK(EventuallyWhy("weary", "converged") == "converged");
  CHECK(Shared().Instances("weary").front().id != id);
}

TEST_CASE("a secret is not set") {
  Serve({.app = "secretive"});
  HelloManifest manifest = {.app = "secretive", .version = "2"};
  manifest.more = "secrets: {names: [api-key]}\n";
  const Finished deployed = Shared().Berth(
      {"deploy", "--no-wait", Shared().WriteManifest("secretive", manifest.ToYaml())});
  INFO(deployed.err);
  CHECK(deployed.exit_code == 0);
  CHECK(EventuallyWhy("secretive", "secrets-exist secret api-key") ==
        "secrets-exist secret api-key");
  const Finished set = Shared().Berth({"secret", "set", "api-key=ahoy", "--app", "secretive"});
  INFO(set.err);
  CHECK(set.exit_code == 0);
  CHECK(EventuallyWhy("secretive", "converged") == "converged");
  CHECK(WhyNeverServing(Shared(), "secretive", 2, "2") == "");
}

TEST_CASE("an app is a name to ask about, as its processes and instances are") {
  Serve({.app = "named"});
  CHECK_THAT(Shared().Berth({"why", "named"}).out, Catch::Contains("home/named/production"));
  CHECK(Shared().Berth({"why", "named/production"}).exit_code == 0);
  CHECK(Shared().Berth({"why", "web", "--app", "named"}).exit_code == 0);
  CHECK(
      Shared().Berth({"why", Shared().Instances("named").front().id, "--app", "named"}).exit_code ==
      0);
  // Beside another app, as where that one's berth.yaml is.
  CHECK(Shared().BerthJson({"why", "named", "--app", "other"}).at("environment").at("app") ==
        "named");
  const Finished nothing = Shared().Berth({"why", "nobody", "--app", "named"});
  CHECK(nothing.exit_code == 3);
  CHECK_THAT(nothing.err, Catch::Contains("nobody"));
}

TEST_CASE("another app has the route") {
  Serve({.app = "owner"}, "routes:\n  plain: {listen: tcp/7070, to: web.http}\n");
  const Finished failed =
      Deploy("second", HelloManifest{.app = "second"}.ToYaml() +
                           "routes:\n  mine: {listen: tcp/7070, to: web.http}\n");
  CHECK(failed.exit_code == kRolloutFailed);
  CHECK(Why("second") == "routes-accepted route mine");
  CHECK(Why("owner") == "converged");
  Serve({.app = "second"}, "routes:\n  mine: {listen: tcp/7072, to: web.http}\n");
}

TEST_CASE("another program has the edge's port") {
  constexpr uint16_t kPort = 7075;
  UniqueFd other(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(kPort);
  REQUIRE(bind(other.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(listen(other.get(), 1) == 0);
  const Finished deployed =
      Deploy("taken", HelloManifest{.app = "taken"}.ToYaml() +
                          "routes:\n  plain: {listen: tcp/7075, to: web.http}\n");
  INFO(deployed.err);
  CHECK(deployed.exit_code == 0);
  const std::string wanted = absl::StrCat("edge-listens edge-port ", EdgeName(), ":", kPort);
  CHECK(EventuallyWhy("taken", wanted) == wanted);
  other = UniqueFd();
  CHECK(EventuallyWhy("taken", "converged") == "converged");
}

TEST_CASE("the edge has stopped") {
  Serve({.app = "edgeless"}, "routes:\n  plain: {listen: tcp/7077, to: web.http}\n");
  const std::string wanted = "edge-reports edge " + EdgeName();
  Shared().Kill("edge");
  CHECK(EventuallyWhy("edgeless", wanted, kSilenceNoticedMax) == wanted);
  Shared().Up();
  CHECK(EventuallyWhy("edgeless", "converged") == "converged");
}

TEST_CASE("the agent has stopped, and in the end its host is lost") {
  Serve({.app = "cut-off"});
  const std::string host = HostName();
  Shared().Kill("agent");
  CHECK(EventuallyWhy("cut-off", "agent-reports host " + host) == "agent-reports host " + host);
  CHECK(EventuallyWhy("cut-off", "host-present host " + host, kSilenceNoticedMax) ==
        "host-present host " + host);
  Shared().Up();
  CHECK(EventuallyWhy("cut-off", "converged") == "converged");
}

}  // namespace
}  // namespace berth::integration
