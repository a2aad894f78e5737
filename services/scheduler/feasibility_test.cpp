#include "services/scheduler/feasibility.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>

namespace berth::scheduler {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr char kImage[] = "localhost/notes@sha256:1234";

// A host of acme with 1 GiB, half of it promised, and 2 CPUs of which 6 are promised.
Host Alpha() {
  Host host;
  host.machine.set_org("acme");
  host.machine.set_status(auth::v1::MACHINE_STATUS_ACTIVE);
  host.presence = v1::HOST_PRESENCE_UP;
  host.facts.mutable_capacity()->set_memory_bytes(1024 * kMiB);
  host.facts.mutable_capacity()->set_cpu_milli(2000);
  host.facts.add_local_images("sha256:1234");
  host.promised.set_memory_bytes(512 * kMiB);
  host.promised.set_cpu_milli(6000);
  return host;
}

config::v1::Process Web() {
  config::v1::Process process;
  process.mutable_resources()->set_memory_bytes(512 * kMiB);
  process.mutable_resources()->set_cpu_milli(2000);
  return process;
}

TEST_CASE("a host takes a replica or says why not", "[scheduler][feasibility]") {
  struct Case {
    const char* what;
    std::function<void(Host*, config::v1::Process*, Demand*)> change;
    const char* why;  // Part of the reason; empty: feasible.
  };
  const Case cases[] = {
      {"exactly the memory and CPU that are left", [](auto*, auto*, auto*) {}, ""},
      {"a byte more memory",
       [](auto*, auto* web, auto*) { web->mutable_resources()->set_memory_bytes(512 * kMiB + 1); },
       "alpha has 512 MiB of memory left of 1024 MiB"},
      {"a thousandth of a CPU more",
       [](auto*, auto* web, auto*) { web->mutable_resources()->set_cpu_milli(2001); },
       "alpha has 2000 milli-CPU left to promise, 2001 are needed"},
      {"a host that has shrunk below what it promised",
       [](auto* host, auto*, auto*) {
         host->facts.mutable_capacity()->set_memory_bytes(256 * kMiB);
       },
       "alpha has 0 MiB of memory left"},
      {"a host that has not reported",
       [](auto* host, auto*, auto*) { host->presence = v1::HOST_PRESENCE_UNSPECIFIED; },
       "has not reported yet"},
      {"a stale host", [](auto* host, auto*, auto*) { host->presence = v1::HOST_PRESENCE_STALE; },
       "has not reported for a while"},
      {"a lost host", [](auto* host, auto*, auto*) { host->presence = v1::HOST_PRESENCE_LOST; },
       "is lost"},
      {"a host of another org", [](auto* host, auto*, auto*) { host->machine.set_org("globex"); },
       "belongs to another org"},
      {"a host whose keys changed",
       [](auto* host, auto*, auto*) { host->machine.set_status(auth::v1::MACHINE_STATUS_UNKNOWN); },
       "waits for approval"},
      {"a host with a problem",
       [](auto* host, auto*, auto*) { host->facts.add_problems("podman is missing; install it"); },
       "podman is missing; install it"},
      {"the host that the manifest asks for",
       [](auto*, auto* web, auto*) { web->mutable_placement()->set_host("alpha"); }, ""},
      {"another host than the manifest asks for",
       [](auto*, auto* web, auto*) { web->mutable_placement()->set_host("beta"); },
       "asks for host beta"},
      {"the labels that the manifest asks for",
       [](auto* host, auto* web, auto*) {
         host->labels = {{"disk", "ssd"}, {"zone", "eu-1"}};
         (*web->mutable_placement()->mutable_require())["disk"] = "ssd";
       },
       ""},
      {"a label with another value",
       [](auto* host, auto* web, auto*) {
         host->labels = {{"disk", "hdd"}};
         (*web->mutable_placement()->mutable_require())["disk"] = "ssd";
       },
       "alpha has label disk=hdd, not ssd"},
      {"a label that the host lacks",
       [](auto*, auto* web, auto*) {
         (*web->mutable_placement()->mutable_require())["disk"] = "ssd";
       },
       "no label disk=ssd"},
      {"a local image that the host has",
       [](auto*, auto*, auto* demand) { demand->image_is_local = true; }, ""},
      {"a local image that the host lacks",
       [](auto* host, auto*, auto* demand) {
         demand->image_is_local = true;
         host->facts.clear_local_images();
       },
       "does not have the local image"},
      {"an image of a registry that the host lacks",
       [](auto* host, auto*, auto*) { host->facts.clear_local_images(); }, ""},
  };
  for (const Case& one : cases) {
    INFO(one.what);
    Host host = Alpha();
    config::v1::Process web = Web();
    Demand demand{"acme", &web, kImage, false};
    one.change(&host, &web, &demand);
    const std::optional<std::string> why = WhyInfeasible("alpha", host, demand);
    if (std::string(one.why).empty()) {
      CHECK_FALSE(why.has_value());
    } else {
      REQUIRE(why.has_value());
      CHECK_THAT(*why, Catch::Contains(one.why));
    }
  }
}

}  // namespace
}  // namespace berth::scheduler
