#include "cli/local_platform.h"

#include <catch2/catch.hpp>

#include "cli/platform_folder.h"
#include "common/ids/names.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth::cli {
namespace {

using testing::TempDir;

const LocalPlatform kPlatform = {"/s"};

TEST_CASE("the settings of server and agent fit together", "[cli][up]") {
  CHECK(ServerSettings(kPlatform, "127.0.0.1:7443") ==
        "listen: \"127.0.0.1:7443\"\n"
        "state: \"/s/server\"\n");
  CHECK(AgentSettings(kPlatform, "127.0.0.1:7443", "") ==
        "ca_file: \"/s/server/ca.pem\"\n"
        "server: \"127.0.0.1:7443\"\n"
        "state: \"/s/agent\"\n"
        "join_token_file: \"/s/agent/join-token\"\n");
  CHECK(AgentSettings(kPlatform, "127.0.0.1:7443", "/c \"1\".conf") ==
        AgentSettings(kPlatform, "127.0.0.1:7443", "") +
            "podman: {containers_conf: \"/c \\\"1\\\".conf\"}\n");
}

TEST_CASE("a machine without the server learns from its join token whom to trust", "[cli][up]") {
  CHECK(JoiningAgentSettings(kPlatform, "berth.example.com:7443", "") ==
        "server: \"berth.example.com:7443\"\n"
        "state: \"/s/agent\"\n"
        "join_token_file: \"/s/agent/join-token\"\n");
  CHECK(JoiningEdgeSettings(kPlatform, "berth.example.com:7443") ==
        "server: \"berth.example.com:7443\"\n"
        "state: \"/s/edge\"\n"
        "join_token_file: \"/s/edge/join-token\"\n");
}

TEST_CASE("a platform at another port leaves the usual HTTP ports to others", "[cli][up]") {
  constexpr char kAnyPort[] = "http: \"127.0.0.1:0\"\n";
  CHECK_THAT(ServerSettings(kPlatform, "[::]:7444"), Catch::EndsWith(kAnyPort));
  CHECK_THAT(AgentSettings(kPlatform, "127.0.0.1:7444", ""), Catch::EndsWith(kAnyPort));
  CHECK_THAT(EdgeSettings(kPlatform, "127.0.0.1:7444"), Catch::EndsWith(kAnyPort));
  CHECK_THAT(EdgeSettings(kPlatform, "127.0.0.1:7443"), !Catch::Contains("http:"));
}

TEST_CASE("settings that exist are read back", "[cli][up]") {
  CHECK(*ListenOf(ServerSettings(kPlatform, "[::]:9"), "server.yaml") == "[::]:9");
  CHECK(*ListenOf("state: /s\n", "server.yaml") == kListenDefault);
  CHECK_FALSE(ListenOf("listen: [", "server.yaml").ok());
  CHECK(*ContainersConfOf(AgentSettings(kPlatform, "a:1", "/c.conf"), "agent.yaml") == "/c.conf");
  CHECK(*ContainersConfOf(AgentSettings(kPlatform, "a:1", ""), "agent.yaml") == "");
}

TEST_CASE("a server that listens everywhere is reached on the loopback", "[cli][up]") {
  CHECK(*AddressToReach("127.0.0.1:7443") == "127.0.0.1:7443");
  CHECK(*AddressToReach("berth.example.com:1") == "berth.example.com:1");
  CHECK(*AddressToReach("0.0.0.0:7443") == "127.0.0.1:7443");
  CHECK(*AddressToReach(":7443") == "127.0.0.1:7443");
  CHECK(*AddressToReach("[::]:7443") == "[::1]:7443");
  CHECK_FALSE(AddressToReach("7443").ok());
}

TEST_CASE("any host name makes a machine name", "[cli][up]") {
  CHECK(MachineName("web1.example.com") == "web1");
  CHECK(MachineName("Web_1") == "web-1");
  CHECK(MachineName("7a3f") == "host-7a3f");
  CHECK(MachineName("-a-") == "a");
  CHECK(MachineName("") == "host");
  CHECK(MachineName("...") == "host");
  CHECK(MachineName("\xc3\xa9t\xc3\xa9") == "t");
  for (const std::string& name : {std::string(100, 'a'), std::string(62, '7') + "-b"}) {
    CHECK(CheckName("the machine", MachineName(name)).ok());
  }
}

TEST_CASE("root's platform is the machine's, others have their own", "[cli][up]") {
  const Environment environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "HOME") return "/home/ada";
    return std::nullopt;
  };
  CHECK(*DefaultStateFolder(environment, true) == "/var/lib/berth");
  CHECK(*DefaultStateFolder(environment, false) == "/home/ada/.local/state/berth/platform");
}

TEST_CASE("only one process works on a platform's folder", "[cli][up]") {
  const TempDir parent;
  const std::string path = parent.File("berth");
  CHECK(PlatformFolder::Open(path).status().code() == absl::StatusCode::kNotFound);
  {
    const auto held = PlatformFolder::Make(path);
    REQUIRE(held.ok());
    CHECK(held->platform().folder == path);
    CHECK(PlatformFolder::Make(path).status().code() == absl::StatusCode::kUnavailable);
  }
  auto again = PlatformFolder::Make(path + "/");
  REQUIRE(again.ok());
  CHECK(again->platform().folder == path);
  REQUIRE(again->Remove().ok());
  CHECK(PlatformFolder::Open(path).status().code() == absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace berth::cli
