#include "agent/network/bridge.h"

#include <sched.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/network/host_forwarding.h"
#include "agent/runtime/driver_contract.h"
#include "agent/runtime/podman/podman_driver.h"
#include "agent/runtime/podman/podman_fixture.h"
#include "agent/runtime/program.h"
#include "common/clock/system_clock.h"

namespace berth {
namespace {

using testing::PodmanFixture;

constexpr char kAddress[] = "fd00:1:2:3::5";
const HostPrefix kPrefix = {.ipv6 = "fd00:1:2:3::/64", .platform_ipv6 = "fd00:1:2::/48"};

// The process moves into a network namespace of its own before Podman is started in it, so that
// the machine's interfaces, packet filter and settings stay as they are.
const PodmanServiceSettings& IsolatedPodman() {
  static const bool isolated = [] {
    return unshare(CLONE_NEWNET) == 0 && RunProgram({"ip", "link", "set", "lo", "up"}, {}).ok();
  }();
  REQUIRE(isolated);
  return PodmanFixture::Shared().settings();
}

std::string MustRun(const std::vector<std::string>& arguments) {
  const absl::StatusOr<ProgramResult> result = RunProgram(arguments, {});
  REQUIRE(result.status() == absl::OkStatus());
  INFO(result->output);
  REQUIRE(result->exit_code == 0);
  return result->output;
}

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Podman notes the addresses that are taken by the name of their network, in one file for all its
// storages on a machine: tests that run at the same time need names of their own.
std::string NetworkName() { return absl::StrCat("t", getpid()); }

// A network and a driver on it, both empty again at the end.
struct Host {
  Host() : bridge(IsolatedPodman(), NetworkName()), driver(IsolatedPodman(), "host-a", &clock) {}
  ~Host() {
    const auto records = driver.List();
    if (records.ok()) {
      for (const InstanceRecord& record : *records) (void)driver.Destroy(record.handle);
    }
    LibpodClient client(IsolatedPodman().socket_path);
    (void)client.Call({.method = "DELETE", .path = "/networks/" + NetworkName()});
  }

  // An instance that serves a page "hello" on port 8080 of the address.
  InstanceHandle StartServer(const std::string& id = "server",
                             const std::string& address = kAddress) {
    InstanceSpec spec;
    spec.instance_id = id;
    spec.image = PodmanFixture::Shared().image();
    spec.command = {"sh", "-c",
                    "echo hello > /tmp/index.html; echo up; exec httpd -f -p 8080 -h /tmp"};
    spec.env = {{"PATH", "/bin"}};
    spec.network = bridge.name();
    spec.ipv6_address = address;
    return testing::MustStart(driver, spec);
  }

  SystemClock clock;
  Bridge bridge;
  PodmanDriver driver;
};

// Asks again while the server has not opened its port, which nothing reports. `prefix` says from
// where.
std::string Fetch(const std::string& url, std::vector<std::string> prefix = {}) {
  prefix.insert(prefix.end(), {"curl", "--silent", "--show-error", "--max-time", "20", "--retry",
                               "50", "--retry-delay", "0", "--retry-max-time", "20",
                               "--retry-all-errors", "--noproxy", "*", url});
  return MustRun(prefix);
}

TEST_CASE("an instance is reached from its host at the address it was given",
          "[network][root][integration]") {
  Host host;
  REQUIRE(host.bridge.EnsureNetwork(kPrefix) == absl::OkStatus());
  REQUIRE(host.bridge.EnsureNetwork(kPrefix) == absl::OkStatus());
  CHECK(*host.bridge.Interface() == NetworkName() + "0");
  host.StartServer();
  CHECK(Fetch(absl::StrCat("http://[", kAddress, "]:8080/")) == "hello\n");
  CHECK(
      MustRun({"ip", "-6", "route", "show", "dev", NetworkName() + "0"}).find("fd00:1:2:3::/64") !=
      std::string::npos);
}

TEST_CASE("an address is free again for the instance's next attempt",
          "[network][root][integration]") {
  Host host;
  REQUIRE(host.bridge.EnsureNetwork(kPrefix) == absl::OkStatus());
  const InstanceHandle handle = host.StartServer();
  REQUIRE(host.driver.Stop(handle, absl::ZeroDuration()) == absl::OkStatus());
  REQUIRE(host.driver.Destroy(handle) == absl::OkStatus());
  host.StartServer();
  CHECK(Fetch(absl::StrCat("http://[", kAddress, "]:8080/")) == "hello\n");
}

TEST_CASE("an IPv4 way out is there only where it is asked for", "[network][root][integration]") {
  Host host;
  HostPrefix prefix = kPrefix;
  prefix.ipv4_egress = GENERATE(true, false);
  REQUIRE(host.bridge.EnsureNetwork(prefix) == absl::OkStatus());
  const InstanceHandle handle = host.StartServer();
  const auto addresses = host.driver.Exec(handle, {"cat", "/proc/net/fib_trie"}, absl::Seconds(20));
  REQUIRE(addresses.status() == absl::OkStatus());
  CHECK((addresses->output.find("10.89.") != std::string::npos) == prefix.ipv4_egress);
}

TEST_CASE("a network with another prefix is made anew only if nothing is attached",
          "[network][root][integration]") {
  Host host;
  HostPrefix other = kPrefix;
  other.ipv6 = "fd00:1:2:9::/64";
  REQUIRE(host.bridge.EnsureNetwork(other) == absl::OkStatus());
  REQUIRE(host.bridge.EnsureNetwork(kPrefix) == absl::OkStatus());
  host.StartServer();
  const absl::Status status = host.bridge.EnsureNetwork(other);
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(status.message()), Catch::Contains("berth-server"));
  CHECK_THAT(std::string(status.message()), Catch::Contains("fd00:1:2:3::/64"));
}

// Of the host's interface.
std::string HardwareAddress() {
  const std::string link = MustRun({"ip", "-brief", "link", "show", "dev", NetworkName() + "0"});
  const std::vector<std::string> words = absl::StrSplit(link, ' ', absl::SkipEmpty());
  REQUIRE(words.size() > 2);
  return words[2];
}

TEST_CASE("the host keeps its hardware address, whichever instance leaves",
          "[network][root][integration]") {
  Host host;
  REQUIRE(host.bridge.EnsureNetwork(kPrefix) == absl::OkStatus());
  CHECK(host.bridge.KeepHardwareAddress().code() == absl::StatusCode::kNotFound);
  // The bridge has taken this one's.
  const InstanceHandle first = host.StartServer();
  REQUIRE(host.bridge.KeepHardwareAddress() == absl::OkStatus());
  const std::string address = HardwareAddress();
  host.StartServer("second", "fd00:1:2:3::6");
  CHECK(HardwareAddress() == address);
  REQUIRE(host.driver.Stop(first, absl::ZeroDuration()) == absl::OkStatus());
  REQUIRE(host.driver.Destroy(first) == absl::OkStatus());
  CHECK(HardwareAddress() == address);
}

TEST_CASE("an interface that an earlier network left behind is not taken over",
          "[network][root][integration]") {
  Host host;
  const std::string leftover = NetworkName() + "0";
  MustRun({"ip", "link", "add", leftover, "type", "bridge"});
  MustRun({"ip", "-6", "address", "add", "fd00:1:2:9::1/64", "dev", leftover, "nodad"});

  MustRun({"ip", "link", "add", "port", "type", "veth", "peer", "name", "port-peer"});
  MustRun({"ip", "link", "set", "port", "master", leftover});
  const absl::Status in_use = host.bridge.EnsureNetwork(kPrefix);
  CHECK(in_use.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(in_use.message()), Catch::Contains("ip link delete " + leftover));
  MustRun({"ip", "link", "delete", "port"});

  REQUIRE(host.bridge.EnsureNetwork(kPrefix) == absl::OkStatus());
  host.StartServer();
  CHECK(Fetch(absl::StrCat("http://[", kAddress, "]:8080/")) == "hello\n");
  CHECK(MustRun({"ip", "-6", "address", "show", "dev", leftover}).find("fd00:1:2:9:") ==
        std::string::npos);
}

TEST_CASE("a network that was never made has no interface", "[network][root][integration]") {
  Host host;
  CHECK(host.bridge.Interface().status().code() == absl::StatusCode::kNotFound);
}

// A host of the mesh beside this one, as a network namespace with a link to it.
struct Peer {
  Peer() : space(absl::StrCat("berth-peer-", getpid())) {
    MustRun({"ip", "netns", "add", space});
    MustRun(
        {"ip", "link", "add", "mesh0", "type", "veth", "peer", "name", "mesh0", "netns", space});
    MustRun({"ip", "-6", "address", "add", "fd00:1:2:f::1/64", "dev", "mesh0", "nodad"});
    MustRun({"ip", "link", "set", "mesh0", "up"});
    MustRun(
        {"ip", "-n", space, "-6", "address", "add", "fd00:1:2:f::2/64", "dev", "mesh0", "nodad"});
    MustRun({"ip", "-n", space, "link", "set", "mesh0", "up"});
    MustRun({"ip", "-n", space, "-6", "route", "add", "default", "via", "fd00:1:2:f::1"});
  }
  ~Peer() {
    (void)RunProgram({"ip", "link", "delete", "mesh0"}, {});
    (void)RunProgram({"ip", "netns", "delete", space}, {});
  }

  std::vector<std::string> Enter() const {
    return {"nsenter", absl::StrCat("--net=/run/netns/", space)};
  }

  const std::string space;
};

TEST_CASE("hosts of the mesh reach instances and see their addresses, past a closed filter",
          "[network][root][integration]") {
  Host host;
  Peer peer;
  MustRun({"ip6tables", "-P", "FORWARD", "DROP"});
  REQUIRE(host.bridge.EnsureNetwork(kPrefix) == absl::OkStatus());
  const InstanceHandle handle = host.StartServer();
  CHECK(Fetch(absl::StrCat("http://[", kAddress, "]:8080/"), peer.Enter()) == "hello\n");

  // The peer's server prints who asked.
  testing::TempDir folder;
  std::vector<std::string> serve = peer.Enter();
  serve.insert(serve.end(),
               {"sh", "-c",
                absl::StrCat("busybox httpd -f -v -p '[fd00:1:2:f::2]:8081' -h ", folder.path(),
                             " 2> ", folder.File("log"), " & echo $! > ", folder.File("pid"))});
  MustRun(serve);
  const int64_t pid = *host.driver.Inspect(handle)->pid;
  const std::string page =
      Fetch("http://[fd00:1:2:f::2]:8081/", {"nsenter", "--net", "--target", absl::StrCat(pid)});
  MustRun({"sh", "-c", absl::StrCat("kill $(cat ", folder.File("pid"), ")")});
  CHECK_THAT(page, Catch::Contains("404"));
  CHECK_THAT(TextOf(folder.File("log")), Catch::Contains(kAddress));
}

}  // namespace
}  // namespace berth
