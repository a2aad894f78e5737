// People and machines that come and go, by the command line.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/testing/eventually.h"
#include "common/testing/temp_dir.h"
#include "integration/harness/platform.h"

namespace berth::integration {
namespace {

constexpr int kForbidden = 4;
constexpr absl::Duration kSeenMax = absl::Seconds(30);

// Where the edge stands in `berth edge list`; empty: it is none.
std::string EdgeState(const Platform& platform, const std::string& name) {
  const Json edges = platform.BerthJson({"edge", "list"}).at("items");
  for (const Json& edge : edges) {
    if (edge.at("name") != name) continue;
    return absl::StrCat(edge.at("membership").get<std::string>(), " ",
                        edge.at("presence").get<std::string>());
  }
  return "";
}

bool EdgeComesToBe(const Platform& platform, const std::string& name, const std::string& state) {
  return testing::Eventually(kSeenMax, [&] { return EdgeState(platform, name) == state; });
}

constexpr char kActiveAndUp[] = "MACHINE_STATUS_ACTIVE HOST_PRESENCE_UP";

TEST_CASE("a person is invited, does what the role allows, and goes") {
  Platform platform;
  platform.Up();
  // The printed command is all that Ada has: it names the server, and whom to trust.
  const Json added = platform.BerthJson({"org", "member", "add", "ada", "--role", "viewer"});
  const Json login = platform.BerthJson(AsPrinted(added, {"--context", "ada"}));
  CHECK(login.at("principal") == "user/ada");
  CHECK(platform.Berth(AsPrinted(added, {"--context", "again"})).exit_code == kForbidden);
  CHECK(platform.BerthJson({"org", "list", "--context", "ada"}).at("items").size() == 1);
  CHECK(platform.BerthJson({"host", "list", "--context", "ada"}).at("items").size() == 1);
  CHECK(platform.Berth({"org", "member", "add", "bob", "--context", "ada"}).exit_code ==
        kForbidden);
  CHECK(platform.Berth({"host", "add", "beta", "--context", "ada"}).exit_code == kForbidden);

  const Json token =
      platform.BerthJson({"token", "create", "ci", "--expires", "1h", "--context", "ada"});
  setenv("BERTH_TOKEN", token.at("token").get<std::string>().c_str(), 1);
  CHECK(platform.BerthJson({"whoami"}).at("principal") == "user/ada");
  CHECK(platform.Berth({"token", "create", "more"}).exit_code == kForbidden);
  unsetenv("BERTH_TOKEN");
  CHECK(platform.BerthJson({"token", "list", "--context", "ada"}).at("items").size() == 2);
  platform.BerthJson({"token", "revoke", "ci", "--context", "ada"});
  setenv("BERTH_TOKEN", token.at("token").get<std::string>().c_str(), 1);
  CHECK(platform.Berth({"whoami"}).exit_code == kForbidden);
  unsetenv("BERTH_TOKEN");

  platform.BerthJson({"org", "member", "set-role", "ada", "admin", "--context", "local"});
  platform.BerthJson({"org", "member", "add", "bob", "--context", "ada"});
  const std::vector<std::string> list = {"org", "member", "list", "--context", "local"};
  CHECK(platform.BerthJson(list).at("items").size() == 3);
  const std::vector<std::string> remove = {"org",   "member",    "remove", "ada",
                                           "--yes", "--context", "local"};
  CHECK(platform.BerthJson(remove).at("gone") == true);
  CHECK(platform.Berth({"whoami", "--context", "ada"}).exit_code == kForbidden);

  platform.BerthJson({"logout", "--context", "local"});
  CHECK(platform.Berth({"whoami", "--context", "local"}).exit_code == kForbidden);
}

TEST_CASE("a bootstrap token that was lost is made anew by a restart") {
  Platform platform;
  platform.Up();
  platform.BerthJson({"login"});
  std::filesystem::remove(platform.folder() + "/server/bootstrap-token");
  platform.Kill("server");
  platform.Up();
  platform.BerthJson({"logout"});
  CHECK(platform.BerthJson({"login"}).at("principal") == "user/admin");
}

TEST_CASE("a further edge joins as it is told, changes its keys, and goes") {
  Platform platform;
  platform.Up();
  const testing::TempDir machine;
  const std::vector<std::string> there = {"--state", machine.File("berth")};
  // The machine's usual port is the first edge's.
  const std::vector<std::string> beside = {there[0], there[1], "--http", "127.0.0.1:0"};
  const auto purge = [&] {
    return platform.Berth({"down", "--purge", "--yes", "--state", machine.File("berth")});
  };

  platform.BerthJson(AsPrinted(platform.BerthJson({"edge", "add", "second"}), beside));
  REQUIRE(EdgeComesToBe(platform, "second", kActiveAndUp));
  // Run again, it starts what does not run, and needs no token.
  CHECK(platform.BerthJson({"edge", "join", there[0], there[1]}).at("started") == false);

  platform.BerthJson({"edge", "exclude", "second"});
  for (const Json& edge : platform.BerthJson({"edge", "list"}).at("items")) {
    CHECK(edge.at("excluded") == (edge.at("name") == "second"));
  }
  platform.BerthJson({"edge", "include", "second"});

  // The machine loses all it had. A new start under its name needs a token for new keys.
  REQUIRE(purge().exit_code == 0);
  CHECK(platform.Berth({"edge", "add", "second"}).exit_code != 0);
  const Json again = platform.BerthJson({"edge", "add", "second", "--new-keys"});
  CHECK(platform.BerthJson(AsPrinted(again, beside)).at("unknown") == true);
  REQUIRE(EdgeState(platform, "second").find("MACHINE_STATUS_UNKNOWN") == 0);
  CHECK(platform.Berth({"edge", "approve", "second", "--key", "another"}).exit_code != 0);
  const Json approved = platform.BerthJson({"edge", "approve", "second", "--yes"});
  CHECK(approved.at("key") != approved.at("previousKey"));
  REQUIRE(EdgeComesToBe(platform, "second", kActiveAndUp));

  platform.BerthJson({"edge", "remove", "second", "--yes"});
  CHECK(EdgeState(platform, "second") == "");
  CHECK(platform.BerthJson({"edge", "list"}).at("items").size() == 1);
  CHECK(purge().exit_code == 0);
}

}  // namespace
}  // namespace berth::integration
