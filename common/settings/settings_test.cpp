#include "common/settings/settings.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <string>

#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

struct Example {
  std::string listen;
  uint16_t port = 7700;
  bool metrics = true;
  absl::Duration lease = absl::Seconds(10);
  std::vector<std::string> peers;
  std::string log_level = "info";
  std::string socket = "/run/podman.sock";
  std::string region;
};

absl::StatusOr<Example> Parse(absl::string_view yaml) {
  Example example;
  SettingsReader reader(yaml, "s.yaml");
  reader.Required("listen", &example.listen);
  reader.Optional("port", &example.port, 1, 65535);
  reader.Optional("metrics", &example.metrics);
  reader.Optional("lease", &example.lease, absl::Seconds(1), absl::Minutes(1));
  reader.Optional("peers", &example.peers);
  reader.Choice("log_level", &example.log_level, {"debug", "info"});
  reader.Section("podman").Optional("socket", &example.socket);
  if (SettingsReader* place = reader.OptionalSection("place")) {
    place->Required("region", &example.region);
  }
  if (example.listen == "nowhere") reader.Refuse("listen", "is nowhere");
  const absl::Status status = reader.Finish();
  if (!status.ok()) return status;
  return example;
}

TEST_CASE("settings arrive in their fields", "[settings]") {
  const auto example = Parse(R"(
listen: "[::1]"
port: 8080
metrics: false
lease: 1m
peers: [a, b]
log_level: debug
podman: {socket: /tmp/p.sock}
place: {region: eu}
)");
  REQUIRE(example.ok());
  CHECK(example->listen == "[::1]");
  CHECK(example->port == 8080);
  CHECK_FALSE(example->metrics);
  CHECK(example->lease == absl::Minutes(1));
  CHECK(example->peers == std::vector<std::string>{"a", "b"});
  CHECK(example->log_level == "debug");
  CHECK(example->socket == "/tmp/p.sock");
  CHECK(example->region == "eu");
}

TEST_CASE("absent settings keep their defaults", "[settings]") {
  const auto example = Parse("listen: here\n");
  REQUIRE(example.ok());
  CHECK(example->port == 7700);
  CHECK(example->metrics);
  CHECK(example->lease == absl::Seconds(10));
  CHECK(example->socket == "/run/podman.sock");
}

TEST_CASE("every mistake in the settings is named at once", "[settings]") {
  const absl::Status status = Parse(R"(lisen: here
port: 70000
metrics: yes
lease: 2m
peers: [a, '']
log_level: infos
podman: {sokcet: /x}
place: {}
)")
                                  .status();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(status.message() ==
        "s.yaml:1:1: listen is missing\n"
        "s.yaml:1:1: lisen: unknown field; did you mean listen?\n"
        "s.yaml:2:7: port: \"70000\" is not a whole number from 1 to 65535\n"
        "s.yaml:3:10: metrics: \"yes\" is not one of true, false\n"
        "s.yaml:4:8: lease: \"2m\" is more than 1m\n"
        "s.yaml:5:12: peers[1]: is empty; write a text\n"
        "s.yaml:6:12: log_level: \"infos\" is not one of debug, info\n"
        "s.yaml:7:10: podman.sokcet: unknown field; did you mean socket?\n"
        "s.yaml:8:8: place: region is missing");
}

TEST_CASE("an empty file lacks only what is required", "[settings]") {
  CHECK(Parse("").status().message() == "s.yaml:1:1: listen is missing");
}

TEST_CASE("a file that is not YAML is one mistake", "[settings]") {
  CHECK(Parse("listen: [\n").status().message() ==
        "s.yaml:2:1: not YAML: end of sequence flow not found");
}

TEST_CASE("callers add what only they can see", "[settings]") {
  CHECK(Parse("listen: nowhere\n").status().message() == "s.yaml:1:9: listen: is nowhere");
}

TEST_CASE("a settings file is read whole or refused by its path", "[settings]") {
  const testing::TempDir dir;
  const std::string path = dir.File("s.yaml");
  CHECK(ReadSettingsFile(path).status() ==
        absl::NotFoundError(path + ": No such file or directory"));
  std::ofstream(path) << "listen: here\n";
  CHECK(ReadSettingsFile(path).value() == "listen: here\n");
  std::ofstream(path) << std::string(kSettingsBytesMax + 1, '#');
  CHECK(ReadSettingsFile(path).status() ==
        absl::InvalidArgumentError(path + ": has more than 65536 bytes"));
}

}  // namespace
}  // namespace berth
