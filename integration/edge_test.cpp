// Routes: what reaches an app through the edge, whatever is replaced or killed meanwhile.

#include <catch2/catch.hpp>

#include "agent/runtime/program.h"
#include "common/testing/eventually.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/http.h"
#include "integration/harness/long_run.h"
#include "integration/harness/platform.h"
#include "integration/harness/serving.h"
#include "integration/harness/traffic.h"

namespace berth::integration {
namespace {

constexpr char kUrl[] = "http://127.0.0.1:7070/";
constexpr int kRequestsPerSecond = 200;
constexpr absl::Duration kEdgeReadyMax = absl::Seconds(1);

constexpr char kPlainRoute[] = "  plain: {listen: tcp/7070, to: web.http}\n";

TEST_CASE("an update and a rollback under constant traffic fail no request") {
  Platform platform;
  platform.Up();
  platform.BuildHello();
  HelloManifest manifest = {.replicas = 3, .routes = kPlainRoute};
  const std::string folder = platform.WriteManifest("hello", manifest.ToYaml());
  platform.BerthJson({"deploy", folder});
  REQUIRE(Get(kUrl).status == 200);

  Traffic traffic(kUrl, kRequestsPerSecond);
  manifest.version = "2";
  platform.WriteManifest("hello", manifest.ToYaml());
  CHECK(platform.BerthJson({"deploy", folder}).at("release") == "2");
  REQUIRE(WhyNeverServing(platform, "hello", 3, "2") == "");
  platform.BerthJson({"rollback", "--app", "hello"});
  REQUIRE(WhyNeverServing(platform, "hello", 3, "1") == "");
  const TrafficReport report = traffic.Stop();
  CHECK(report.failures == std::vector<std::string>());
  CHECK(report.answered > kRequestsPerSecond);
  // Both versions were met.
  CHECK(report.versions.size() == 2);
}

TEST_CASE("an absence of the control plane fails no request, and a killed edge serves without it") {
  const absl::Duration absence = UsualOr(absl::Seconds(30), absl::Seconds(120));
  Platform platform;
  platform.Up();
  platform.BuildHello();
  platform.BerthJson(
      {"deploy", platform.WriteManifest("hello", HelloManifest{.routes = kPlainRoute}.ToYaml())});
  REQUIRE(Get(kUrl).status == 200);
  const ContainerStarts starts = platform.Starts();

  platform.Kill("server");
  Traffic traffic(kUrl, kRequestsPerSecond);
  // Time passes; nothing may.
  CHECK_FALSE(testing::Eventually(absence, [] { return Get(kUrl).status != 200; }));
  platform.Up();
  CHECK(WhyNeverServing(platform, "hello", 2, "1") == "");
  const TrafficReport report = traffic.Stop();
  CHECK(report.failures == std::vector<std::string>());
  CHECK(report.answered > kRequestsPerSecond * absl::ToInt64Seconds(absence) / 2);

  platform.Kill("server");
  platform.Kill("edge");
  {
    const Program edge = platform.StartDaemon("edge");
    CHECK(testing::Eventually(kEdgeReadyMax, [] { return Get(kUrl).status == 200; }));
  }
  platform.Up();
  CHECK(WhyNeverServing(platform, "hello", 2, "1") == "");
  CHECK(testing::Eventually(kEdgeReadyMax, [] { return Get(kUrl).status == 200; }));
  CHECK(platform.Starts() == starts);
}

TEST_CASE("a server name leads to its app, unopened, and another name to none") {
  Platform platform;
  platform.Up();
  platform.BuildHello();
  std::string yaml =
      HelloManifest{.routes = "  site: {listen: tls/8444, host: hello.test, to: web.tls}\n"}
          .ToYaml();
  const size_t ports = yaml.find("{http: 8080}");
  REQUIRE(ports != std::string::npos);
  yaml.replace(ports, sizeof("{http: 8080}") - 1, "{http: 8080, tls: 8443}");
  platform.BerthJson({"deploy", platform.WriteManifest("hello", yaml)});
  auto ask = [](const std::string& name) {
    const auto answer =
        RunProgram({"curl", "--silent", "--show-error", "--insecure", "--max-time", "5",
                    "--resolve", name + ":8444:127.0.0.1", "https://" + name + ":8444/"},
                   {.timeout = absl::Seconds(10)});
    REQUIRE(answer.ok());
    return *answer;
  };
  const ProgramResult right = ask("hello.test");
  INFO(right.output);
  CHECK(right.exit_code == 0);
  CHECK_THAT(right.output, Catch::Contains("Hello from Berth"));
  CHECK(ask("other.test").exit_code != 0);
}

TEST_CASE("a standing route is made and deleted by command, and no deploy touches it") {
  Platform platform;
  platform.Up();
  platform.BuildHello();
  HelloManifest manifest = {.app = "hello"};
  platform.BerthJson({"deploy", platform.WriteManifest("hello", manifest.ToYaml())});
  REQUIRE(Get(kUrl).status == 0);
  const std::vector<std::string> create = {"route", "create",   "extra", "--listen", "tcp/7070",
                                           "--to",  "web.http", "--app", "hello"};
  CHECK_FALSE(platform.BerthJson(create).at("unchanged").get<bool>());
  CHECK(Get(kUrl).status == 200);
  CHECK(platform.BerthJson(create).at("unchanged").get<bool>());

  const Json listed = platform.BerthJson({"route", "list"}).at("items").at(0);
  CHECK(listed.at("name") == "extra");
  CHECK(listed.at("edges").size() == 1);
  CHECK(listed.at("standing").get<bool>());
  CHECK_THAT(platform.Berth({"route", "list"}).out,
             Catch::Contains("tcp/7070") && Catch::Contains("web.http"));

  // A rollout behind it loses no request, as one behind a manifest's route.
  {
    Traffic traffic(kUrl, kRequestsPerSecond);
    manifest.version = "2";
    manifest.routes = "  plain: {listen: tcp/7071, to: web.http}\n";
    platform.BerthJson({"deploy", platform.WriteManifest("hello", manifest.ToYaml())});
    REQUIRE(WhyNeverServing(platform, "hello", 2, "2") == "");
    CHECK(traffic.Stop().failures == std::vector<std::string>());
  }
  const Finished declared = platform.Berth({"route", "delete", "plain", "--app", "hello"});
  CHECK(declared.exit_code == 5);
  CHECK_THAT(declared.err, Catch::Contains("take it out of berth.yaml"));
  const Finished taken = platform.Berth(
      {"route", "create", "mine", "--listen", "tcp/7071", "--to", "web.http", "--app", "hello"});
  CHECK(taken.exit_code == 5);
  CHECK_THAT(taken.err, Catch::Contains("belongs to route plain of home/hello/production"));

  CHECK(platform.Berth({"route", "delete", "extra", "--app", "hello"}).exit_code == 0);
  CHECK_THAT(Get(kUrl).error, Catch::Contains("onnect"));
  CHECK(Get("http://127.0.0.1:7071/").status == 200);
}

TEST_CASE("a route that another app has fails the deploy and says whose it is") {
  Platform platform;
  platform.Up();
  platform.BuildHello();
  platform.BerthJson(
      {"deploy", platform.WriteManifest("hello", HelloManifest{.routes = kPlainRoute}.ToYaml())});
  const Finished second = platform.Berth(
      {"deploy", platform.WriteManifest(
                     "second", HelloManifest{.app = "second", .routes = kPlainRoute}.ToYaml())});
  CHECK(second.exit_code == 9);
  CHECK_THAT(second.err, Catch::Contains("port 7070 belongs to home/hello/production"));
  CHECK(Get(kUrl).status == 200);
}

}  // namespace
}  // namespace berth::integration
