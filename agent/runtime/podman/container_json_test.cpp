#include "agent/runtime/podman/container_json.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "common/testing/printers.h"

namespace berth {
namespace {

using nlohmann::json;

InstanceSpec SmallSpec() {
  InstanceSpec spec;
  spec.instance_id = "web-1";
  spec.attempt = 3;
  spec.image = "registry.example/web@sha256:1";
  return spec;
}

TEST_CASE("a container has its instance's name, labels and limits", "[agent][podman]") {
  InstanceSpec spec = SmallSpec();
  spec.command = {"/app", "serve"};
  spec.env = {{"LEVEL", "debug"}};
  spec.labels = {{"release", "7"}};
  spec.cpu_milli = 1500;
  spec.memory_bytes_max = 1 << 20;
  spec.pids_max = 100;
  spec.network = "berth";
  spec.ipv6_address = "fd00::5";
  spec.user = "1000:1000";
  spec.read_only_root = true;
  spec.stop_signal = "SIGINT";
  const json request = *ContainerRequest(spec, "host-a");
  CHECK(request["name"] == "berth-web-1");
  CHECK(request["labels"] == json({{"release", "7"},
                                   {"berth.instance", "web-1"},
                                   {"berth.attempt", "3"},
                                   {"berth.host", "host-a"}}));
  CHECK(request["resource_limits"] == json({{"memory", {{"limit", 1 << 20}, {"swap", 1 << 20}}},
                                            {"cpu", {{"period", 100'000}, {"quota", 150'000}}},
                                            {"pids", {{"limit", 100}}}}));
  CHECK(request["Networks"] == json({{"berth", {{"static_ips", {"fd00::5"}}}}}));
  CHECK(request["entrypoint"] == json({"/app", "serve"}));
  CHECK(request["user"] == "1000:1000");
  CHECK(request["read_only_filesystem"] == true);
  CHECK(request["stop_signal"] == 2);
  CHECK(request["restart_policy"] == "no");
}

TEST_CASE("what a spec leaves open is left to the image", "[agent][podman]") {
  const json request = *ContainerRequest(SmallSpec(), "host-a");
  CHECK_FALSE(request.contains("entrypoint"));
  CHECK_FALSE(request.contains("user"));
  CHECK(request["netns"] == json({{"nsmode", "none"}}));
  CHECK_FALSE(request["resource_limits"].contains("memory"));
}

TEST_CASE("no host port is ever published", "[agent][podman]") {
  CHECK_FALSE(ContainerRequest(SmallSpec(), "host-a")->contains("portmappings"));
}

TEST_CASE("a bind mount is read-only unless asked otherwise", "[agent][podman]") {
  InstanceSpec spec = SmallSpec();
  spec.mounts = {{.source = "/run/x", .target = "/run/berth"},
                 {.source = "/var/y", .target = "/data", .access = Mount::Access::kReadWrite}};
  const json mounts = (*ContainerRequest(spec, "host-a"))["mounts"];
  CHECK(mounts[0]["options"][0] == "ro");
  CHECK(mounts[1]["options"][0] == "rw");
}

TEST_CASE("what is an instance's alone is given to who runs in it", "[agent][podman]") {
  InstanceSpec spec = SmallSpec();
  spec.mounts = {{.source = "/run/x", .target = "/run/x"},
                 {.source = "/run/y", .target = "/run/y", .owner = Mount::Owner::kInstance}};
  const json mounts = (*ContainerRequest(spec, "host-a"))["mounts"];
  CHECK(mounts[0]["options"] == json{"ro", "rbind", "nosuid", "nodev"});
  CHECK(mounts[1]["options"] == json{"ro", "rbind", "nosuid", "nodev", "U", "Z"});
}

TEST_CASE("a spec that can never run is refused by name", "[agent][podman]") {
  InstanceSpec spec = SmallSpec();
  SECTION("an id that is no name") {
    spec.instance_id = "../etc";
    CHECK(ContainerRequest(spec, "h").status() ==
          absl::InvalidArgumentError("instance id \"../etc\" is not of [a-z0-9-]"));
  }
  SECTION("a signal that does not exist") {
    spec.stop_signal = "SIGNOTHING";
    CHECK(ContainerRequest(spec, "h").status() ==
          absl::InvalidArgumentError("there is no stop signal SIGNOTHING"));
  }
}

TEST_CASE("an inspection tells only what its phase knows", "[agent][podman]") {
  SECTION("running") {
    const InstanceStatus status = StatusFromInspection(json::parse(
        R"({"State":{"Status":"running","Pid":42,"ExitCode":0,"OOMKilled":false,
            "StartedAt":"2026-11-21T00:33:17.732865014Z",
            "FinishedAt":"0001-01-01T00:00:00Z"}})"));
    CHECK(status.phase == InstancePhase::kRunning);
    CHECK(status.pid == 42);
    CHECK_FALSE(status.exit_code.has_value());
    CHECK(absl::ToUnixSeconds(*status.started_at) == 1795221197);
  }
  SECTION("exited") {
    const InstanceStatus status = StatusFromInspection(json::parse(
        R"({"State":{"Status":"exited","Pid":0,"ExitCode":137,"OOMKilled":true,
            "StartedAt":"2026-11-21T00:33:17Z","FinishedAt":"2026-11-21T00:33:20Z"}})"));
    CHECK(status.phase == InstancePhase::kExited);
    CHECK(status.exit_code == 137);
    CHECK(status.oom_killed);
    CHECK_FALSE(status.pid.has_value());
    CHECK(*status.exited_at - *status.started_at == absl::Seconds(3));
  }
  SECTION("created") {
    const InstanceStatus status = StatusFromInspection(
        json::parse(R"({"State":{"Status":"created","StartedAt":"0001-01-01T00:00:00Z"}})"));
    CHECK(status.phase == InstancePhase::kCreated);
    CHECK_FALSE(status.started_at.has_value());
  }
}

TEST_CASE("a list entry without Berth's labels is none of Berth's", "[agent][podman]") {
  CHECK_FALSE(RecordFromListEntry(json::parse(R"({"Id":"ab","Labels":null,"State":"running"})")));
  const auto record = RecordFromListEntry(json::parse(
      R"({"Id":"ab","State":"running","Pid":7,"StartedAt":1795221197,
          "Labels":{"berth.instance":"web-1","berth.attempt":"2","release":"7"}})"));
  REQUIRE(record);
  CHECK(record->instance_id == "web-1");
  CHECK(record->attempt == 2);
  CHECK(record->labels == std::map<std::string, std::string>{{"release", "7"}});
}

TEST_CASE("an exit is told of by the host's own containers only", "[agent][podman]") {
  const json event =
      json::parse(R"({"Actor":{"ID":"c1","Attributes":{"berth.host":"a","berth.instance":"web-1",)"
                  R"("berth.attempt":"2"}}})");
  const auto exit = ExitFromEvent(event, "a");
  REQUIRE(exit);
  CHECK(exit->instance_id == "web-1");
  CHECK(exit->attempt == 2);
  CHECK_FALSE(ExitFromEvent(event, "b"));
}

TEST_CASE("JSON of another shape than expected reads as nothing", "[agent][podman]") {
  for (const char* text : {"null", "[]", "3", R"({"State":[]})", R"({"State":{"Pid":"x"}})",
                           R"({"Id":3,"Labels":[1]})", R"({"Actor":"x"})"}) {
    const json value = json::parse(text);
    CHECK(StatusFromInspection(value).phase == InstancePhase::kExited);
    CHECK_FALSE(RecordFromListEntry(value));
    CHECK_FALSE(ExitFromEvent(value, "a"));
  }
}

TEST_CASE("a command runs as its container's own process does", "[agent][podman]") {
  const json container = {{"process",
                           {{"args", {"/app"}},
                            {"env", {"COLOUR=blue"}},
                            {"terminal", true},
                            {"consoleSize", {{"height", 1}, {"width", 2}}},
                            {"user", {{"uid", 1000}}}}}};
  ExecSpec spec = {.command = {"stty", "size"}};
  json wanted = {{"args", {"stty", "size"}},
                 {"env", {"COLOUR=blue"}},
                 {"terminal", false},
                 {"user", {{"uid", 1000}}}};
  CHECK(ExecProcess(container, spec) == wanted);
  SECTION("and has its terminal's size before it begins") {
    spec.terminal = TerminalSize{111, 33};
    wanted["terminal"] = true;
    wanted["consoleSize"] = {{"height", 33}, {"width", 111}};
    CHECK(ExecProcess(container, spec) == wanted);
  }
  SECTION("and not where it has none") {
    CHECK_FALSE(ExecProcess(json::object(), spec).has_value());
    CHECK_FALSE(ExecProcess(json(), spec).has_value());
  }
}

}  // namespace
}  // namespace berth
