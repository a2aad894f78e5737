#include "agent/runtime/podman/host_facts.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace berth {
namespace {

nlohmann::json GoodHost() {
  return nlohmann::json::parse(R"({
    "host": {"cgroupVersion": "v2", "networkBackend": "netavark", "eventLogger": "journald",
             "ociRuntime": {"name": "crun", "path": "/usr/bin/crun"},
             "security": {"rootless": false}},
    "version": {"Version": "4.3.1"}})");
}

TEST_CASE("a host that lacks nothing has no problems", "[agent][podman]") {
  const DriverFacts facts = FactsFromInfo(GoodHost());
  CHECK(facts.version == "4.3.1");
  CHECK(facts.cgroup_version == 2);
  CHECK(facts.network_backend == "netavark");
  CHECK_FALSE(facts.rootless);
  CHECK(facts.problems.empty());
}

TEST_CASE("each thing a host lacks is one problem with a remedy", "[agent][podman]") {
  nlohmann::json info = GoodHost();
  std::string remedy;
  SECTION("crun on cgroup v1") {
    info["host"]["cgroupVersion"] = "v1";
    remedy = "runtime=\"runc\"";
  }
  SECTION("CNI networks") {
    info["host"]["networkBackend"] = "cni";
    remedy = "network_backend=\"netavark\"";
  }
  SECTION("no events") {
    info["host"]["eventLogger"] = "none";
    remedy = "events_logger";
  }
  SECTION("rootless") {
    info["host"]["security"]["rootless"] = true;
    remedy = "as root";
  }
  const DriverFacts facts = FactsFromInfo(info);
  REQUIRE(facts.problems.size() == 1);
  CHECK_THAT(facts.problems[0].remedy, Catch::Contains(remedy));
}

}  // namespace
}  // namespace berth
