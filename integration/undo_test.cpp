// An environment at a moment of the past, and back to it.

#include <catch2/catch.hpp>
#include <fstream>
#include <string>
#include <vector>

#include "common/testing/temp_dir.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/http.h"
#include "integration/harness/platform.h"
#include "integration/harness/serving.h"

namespace berth::integration {
namespace {

constexpr char kUrl[] = "http://127.0.0.1:7070/";

void SetSecret(const Platform& platform, const std::string& value) {
  const testing::TempDir folder;
  std::ofstream(folder.File("value"), std::ios::binary) << value;
  platform.BerthJson(
      {"secret", "set", "database-url", "--from-file", folder.File("value"), "--app", "hello"});
}

void Deploy(const Platform& platform, const std::string& version) {
  HelloManifest manifest;
  manifest.version = version;
  manifest.more = "secrets: {names: [database-url]}\n";
  platform.BerthJson({"deploy", platform.WriteManifest("hello", manifest.ToYaml())});
}

void CreateRoute(const Platform& platform, const std::string& name, const std::string& listen) {
  platform.BerthJson(
      {"route", "create", name, "--listen", listen, "--to", "web.http", "--app", "hello"});
}

// The newest record there is, which names the moment.
std::string Newest(const Platform& platform) {
  return platform.BerthJson({"events", "--limit", "1"}).at("items").at(0).at("record");
}

Json Differences(const Platform& platform, const std::string& moment) {
  return platform.BerthJson({"state", "diff", moment, "now", "hello"}).at("items");
}

TEST_CASE("an undo brings back release, secret and routes, and what was deleted") {
  Platform platform;
  platform.Up();
  platform.BuildHello();
  SetSecret(platform, "first");
  Deploy(platform, "1");
  CreateRoute(platform, "extra", "tcp/7070");
  const std::string moment = Newest(platform);
  REQUIRE(Differences(platform, moment) == Json::array());

  SetSecret(platform, "second");
  Deploy(platform, "2");
  REQUIRE(platform.Berth({"route", "delete", "extra", "--app", "hello"}).exit_code == 0);
  CreateRoute(platform, "more", "tcp/7071");
  REQUIRE(WhyNeverServing(platform, "hello", 2, "2") == "");

  const Json then = platform.BerthJson({"state", "hello", "--at", moment});
  CHECK(then.at("environment").at("desired").at("number") == "1");
  CHECK(then.at("secrets").at(0).at("activeVersion") == "1");
  CHECK(then.at("routes").at(0).at("name") == "extra");
  CHECK(then.at("instances").size() == 2);

  const Json plan = platform.BerthJson({"undo", moment, "hello", "--dry-run"});
  CHECK(plan.at("commands").size() == 4);
  CHECK_FALSE(Differences(platform, moment) == Json::array());

  platform.BerthJson({"undo", moment, "hello"});
  CHECK(Differences(platform, moment) == Json::array());
  CHECK(WhyNeverServing(platform, "hello", 2, "1") == "");
  CHECK(Get(kUrl).status == 200);
  // Once more there is nothing to do.
  CHECK(platform.BerthJson({"undo", moment, "hello"}).at("commands") == Json::array());

  REQUIRE(platform.Berth({"env", "delete", "hello", "--yes"}).exit_code == 0);
  CHECK(platform.Berth({"status", "hello"}).exit_code == 3);
  platform.BerthJson({"undo", moment, "hello"});
  CHECK(Differences(platform, moment) == Json::array());
  CHECK(WhyNeverServing(platform, "hello", 2, "1") == "");
  CHECK(Get(kUrl).status == 200);
}

}  // namespace
}  // namespace berth::integration
