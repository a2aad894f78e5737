// Whoever tries Berth gets the machine back as it was.

#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "common/net/socket_address.h"
#include "common/net/unique_fd.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/platform.h"
#include "integration/harness/serving.h"

namespace berth::integration {
namespace {

std::string Networks() { return MustRun({"podman", "network", "ls", "--quiet"}); }

void PurgeLeavesNothing(Platform* platform, const std::string& networks_before) {
  const Finished purged = platform->Purge();
  INFO(purged.err);
  REQUIRE(purged.exit_code == 0);
  CHECK(MustRun({"podman", "ps", "--all", "--quiet"}) == "");
  CHECK(Networks() == networks_before);
  CHECK(platform->machine().Occupants() == std::vector<std::string>());
  CHECK_FALSE(std::filesystem::exists(platform->folder()));
  // Nor is there a context that leads nowhere.
  CHECK(platform->Berth({"whoami"}).exit_code != 0);
}

TEST_CASE("a purge leaves nothing of a platform that serves") {
  Platform platform;
  const std::string networks = Networks();
  platform.Up();
  platform.BuildHello();
  platform.BerthJson({"deploy", platform.WriteManifest("hello", HelloManifest().ToYaml())});
  REQUIRE(WhyNeverServing(platform, "hello", 2, "1") == "");
  PurgeLeavesNothing(&platform, networks);
}

TEST_CASE("a purge leaves nothing of a platform whose daemons were killed") {
  Platform platform;
  const std::string networks = Networks();
  platform.Up();
  platform.BuildHello();
  platform.BerthJson({"deploy", platform.WriteManifest("hello", HelloManifest().ToYaml())});
  platform.Kill("server");
  platform.Kill("agent");
  PurgeLeavesNothing(&platform, networks);
}

TEST_CASE("a purge leaves nothing of a platform that never came up") {
  Platform platform;
  const std::string networks = Networks();
  // Somebody else has the server's port.
  const SocketAddress taken = *SocketAddress::Parse("127.0.0.1:7443");
  const UniqueFd other(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // Connections to a server that had it may linger.
  const int reuse = 1;
  REQUIRE(setsockopt(other.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) == 0);
  REQUIRE(bind(other.get(), taken.sockaddr(), taken.sockaddr_size()) == 0);
  REQUIRE(listen(other.get(), 1) == 0);
  CHECK_THROWS_WITH(platform.Up(), Catch::Contains("7443"));
  PurgeLeavesNothing(&platform, networks);
}

TEST_CASE("after a purge a new platform comes up in the same place") {
  Platform platform;
  platform.Up();
  REQUIRE(platform.Purge().exit_code == 0);
  platform.Up();
  platform.BuildHello();
  const Json first =
      platform.BerthJson({"deploy", platform.WriteManifest("hello", HelloManifest().ToYaml())});
  CHECK(first.at("release") == "1");
}

}  // namespace
}  // namespace berth::integration
