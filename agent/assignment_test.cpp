#include "agent/assignment.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>

namespace berth::agent {
namespace {

using scheduler::v1::Assignment;

Assignment WebAssignment() {
  Assignment assignment;
  assignment.set_instance("web-1");
  assignment.set_attempt(2);
  assignment.set_release(7);
  assignment.set_image("localhost/hello@sha256:00");
  assignment.mutable_environment()->set_org("home");
  assignment.mutable_environment()->set_app("hello");
  assignment.mutable_environment()->set_env("production");
  config::v1::Process& process = *assignment.mutable_process();
  process.mutable_resources()->set_memory_bytes(32 << 20);
  (*process.mutable_ports())["http"].set_port(8080);
  return assignment;
}

TEST_CASE("an instance is told who it is, and its memory is a limit", "[agent][assignment]") {
  Assignment assignment = WebAssignment();
  (*assignment.mutable_process()->mutable_env())["COLOUR"] = "green";
  (*assignment.mutable_process()->mutable_env())["BERTH_INSTANCE"] = "what the manifest claims";
  const InstanceSpec spec = SpecOf(assignment, "berth");
  CHECK(spec.instance_id == "web-1");
  CHECK(spec.attempt == 2);
  CHECK(spec.env == std::map<std::string, std::string>{
                        {"BERTH_INSTANCE", "web-1"}, {"BERTH_RELEASE", "7"}, {"COLOUR", "green"}});
  CHECK(spec.memory_bytes_max == 32 << 20);
  CHECK(spec.cpu_milli == 0);
  CHECK(spec.network == "berth");
  CHECK(spec.labels.at("environment") == "home/hello/production");
}

TEST_CASE("a check asks the port that the manifest names", "[agent][assignment]") {
  const Assignment assignment = WebAssignment();
  config::v1::Probe probe;
  CHECK_FALSE(CheckOf(assignment, probe).has_value());
  probe.mutable_http()->set_port("http");
  probe.mutable_http()->set_path("/healthz");
  const std::optional<Check> check = CheckOf(assignment, probe);
  REQUIRE(check.has_value());
  REQUIRE(std::holds_alternative<HttpCheck>(*check));
  CHECK(std::get<HttpCheck>(*check).port == 8080);
  CHECK(std::get<HttpCheck>(*check).path == "/healthz");
}

TEST_CASE("the reason of an exit is the one that says most", "[agent][assignment]") {
  const Assignment assignment = WebAssignment();
  InstanceStatus status;
  CHECK(ExitReason(status, assignment) == "ended by itself");
  status.exit_code = 3;
  CHECK(ExitReason(status, assignment) == "exited by itself with code 3");
  status.oom_killed = true;
  CHECK(ExitReason(status, assignment) == "was killed: it used more than its 32 MiB of memory");
  status.error = "no such file";
  CHECK(ExitReason(status, assignment) == "could not be started: no such file");
}

TEST_CASE("a secrets file is mounted read-only where the manifest wants it",
          "[agent][assignment]") {
  Assignment assignment = WebAssignment();
  InstanceSpec spec;
  SECTION("where it says nothing") {
    GiveSecrets(assignment, {"/memory/web-1/secrets.env", {{"TOKEN", "t"}}}, &spec);
    REQUIRE(spec.mounts.size() == 1);
    CHECK(spec.mounts[0].target == "/run/berth/secrets.env");
    CHECK(spec.env == std::map<std::string, std::string>{
                          {"BERTH_SECRETS_FILE", "/run/berth/secrets.env"}, {"TOKEN", "t"}});
  }
  SECTION("where it names a path") {
    assignment.mutable_process()->mutable_secrets()->set_file("/etc/notes/secrets");
    GiveSecrets(assignment, {"/memory/web-1/secrets.env", {}}, &spec);
    REQUIRE(spec.mounts.size() == 1);
    CHECK(spec.mounts[0].target == "/etc/notes/secrets");
  }
  CHECK(spec.mounts[0].source == "/memory/web-1/secrets.env");
  CHECK(spec.mounts[0].access == Mount::Access::kReadOnly);
  CHECK(spec.mounts[0].owner == Mount::Owner::kInstance);
}

}  // namespace
}  // namespace berth::agent
