// The services apart: each in a process of its own, over TLS, with its log in PostgreSQL.

#include <catch2/catch.hpp>
#include <string>

#include "common/testing/eventually.h"
#include "integration/harness/services_apart.h"
#include "integration/harness/workstation.h"

namespace berth::integration {
namespace {

constexpr char kManifest[] =
    "schema: berth/v1\napp: hello\n"
    "image: registry.example.com/hello@sha256:"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "processes:\n  web: {ports: {http: 8080}, resources: {cpu: 50m, memory: 16MiB}}\n";

TEST_CASE("services apart are found from auth's address, and keep what they answered when killed") {
  const Workstation workstation;
  ServicesApart services(&workstation);
  services.MustSucceed({"deploy", "--no-wait", workstation.WriteManifest("hello", kManifest)});
  const std::string releases =
      services.MustSucceed({"release", "list", "--app", "hello", "-o", "json"});
  CHECK_THAT(releases, Catch::Contains("registry.example.com/hello"));
  // The scheduler has heard of it from config.
  REQUIRE(testing::Eventually(kServiceBackWithin, [&] {
    const std::string status = workstation.Berth({"status", "hello"}).out;
    return status.find("release 1 is being rolled out") != std::string::npos;
  }));

  for (const std::string name : ServicesApart::kNames) {
    INFO(name);
    services.Kill(name);
    services.Start(name);
    CHECK(services.MustSucceed({"release", "list", "--app", "hello", "-o", "json"}) == releases);
    CHECK_THAT(services.MustSucceed({"status", "hello"}),
               Catch::Contains("release 1 is being rolled out"));
    CHECK(services.MustSucceed({"whoami"}).find("user/admin") != std::string::npos);
  }
}

}  // namespace
}  // namespace berth::integration
