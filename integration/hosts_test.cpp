// Several machines: services apart, two hosts and an edge, each in namespaces of its own. Plain
// routes stand where a mesh would be.

#include <catch2/catch.hpp>
#include <exception>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/testing/eventually.h"
#include "integration/harness/further_machine.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/log_end.h"
#include "integration/harness/services_apart.h"
#include "integration/harness/traffic.h"
#include "integration/harness/workstation.h"

namespace berth::integration {
namespace {

constexpr int kReplicas = 4;
constexpr int kRequestsPerSecond = 200;
constexpr absl::Duration kSeenMax = absl::Seconds(30);
constexpr char kPlainRoute[] = "  plain: {listen: tcp/7070, to: web.http}\n";
constexpr char kSiteRoute[] = "  site: {listen: tls/8444, host: hello.test, to: web.tls}\n";

// Two hosts and an edge that have joined, none of which knows a way to another's instances yet.
class Fleet {
 public:
  Fleet() : services(&workstation, absl::StrCat("[", Wire::OwnAddress(), "]")) {
    containers_conf_ = workstation.PreparePodman();
    workstation.BuildHello();
    // All have it from the same archive: a build, and what an archive of it brings, differ in their
    // digests.
    const std::string image = workstation.files().File("hello.tar");
    MustRun({"podman", "save", "--quiet", "--format", "oci-archive", "--output", image,
             "localhost/hello"});
    MustRun({"podman", "rmi", "--force", "localhost/hello"});
    const std::vector<std::string> load = {"podman", "load", "--quiet", "--input", image};
    MustRun(load);
    for (const FurtherMachine* host : {&alpha, &beta}) host->MustRunThere(load);
    Join("host", "alpha", alpha);
    Join("host", "beta", beta);
    Join("edge", "gate", gate);
  }

  std::string Url() const { return absl::StrCat("http://[", gate.address(), "]:7070/"); }

  // What the edge answers to a client that asks for a server name.
  Finished AskByName(const std::string& name) const {
    return Run({"curl", "--silent", "--show-error", "--insecure", "--max-time", "5", "--resolve",
                absl::StrCat(name, ":8444:[", gate.address(), "]"),
                absl::StrCat("https://", name, ":8444/")});
  }

  // The host as `berth host list` has it, once it reports.
  Json HostUp(const std::string& name) const {
    Json host = Json::object();
    REQUIRE(testing::Eventually(kSeenMax, [&] {
      const Json hosts = workstation.BerthJson({"host", "list"});
      for (const Json& item : hosts.at("items")) {
        if (item.at("name") == name) host = item;
      }
      return host.value("presence", "") == "HOST_PRESENCE_UP";
    }));
    return host;
  }

  // What `berth why` ends with; empty where all is well.
  Json FirstFalse() const {
    const Json why = Json::parse(workstation.Berth({"why", "--app", "hello", "-o", "json"}).out);
    return why.value("converged", false) ? Json::object() : why.at("predicates").back();
  }

  // Whether it comes to name the host as one that the edge does not reach.
  bool BecomesMissed(const std::string& host) const {
    return testing::Eventually(kSeenMax, [&] {
      const Json found = FirstFalse();
      return found.value("id", "") == "endpoint-reached" &&
             found.at("object") == Json{{"kind", "host"}, {"name", host}};
    });
  }

  ~Fleet() {
    if (std::uncaught_exceptions() == 0) return;
    for (const char* log : {"alpha/log/agent.log", "beta/log/agent.log", "gate/log/edge.log"}) {
      PrintLogEnd(workstation.files().File(log));
    }
  }

  Wire wire;
  Workstation workstation;
  ServicesApart services;
  FurtherMachine alpha{2};
  FurtherMachine beta{3};
  FurtherMachine gate{4};

 private:
  void Join(const std::string& noun, const std::string& name, const FurtherMachine& machine) {
    std::vector<std::string> more = {"--state", workstation.files().File(name)};
    if (noun == "host" && !containers_conf_.empty()) {
      more.insert(more.end(), {"--containers-conf", containers_conf_});
    }
    std::vector<std::string> command = {workstation.Binary("berth")};
    for (const std::string& word :
         AsPrinted(Json::parse(services.MustSucceed({noun, "add", name, "-o", "json"})), more)) {
      command.push_back(word);
    }
    machine.MustRunThere(command);
  }

  std::string containers_conf_;
};

TEST_CASE("two hosts serve through an edge, whatever is replaced or killed meanwhile") {
  Fleet fleet;
  const Workstation& workstation = fleet.workstation;
  fleet.gate.AddRoute(fleet.HostUp("alpha").at("prefix"), fleet.alpha);
  fleet.gate.AddRoute(fleet.HostUp("beta").at("prefix"), fleet.beta);
  HelloManifest manifest = {.replicas = kReplicas,
                            .ports = "http: 8080, tls: 8443",
                            .routes = absl::StrCat(kPlainRoute, kSiteRoute)};
  const std::string folder = workstation.WriteManifest("hello", manifest.ToYaml());
  workstation.BerthJson({"deploy", folder});
  std::set<std::string> hosts;
  for (const Instance& instance : workstation.Instances("hello")) hosts.insert(instance.host);
  CHECK(hosts == std::set<std::string>{"alpha", "beta"});
  CHECK_THAT(fleet.AskByName("hello.test").out, Catch::Contains("Hello from Berth"));
  CHECK(fleet.AskByName("other.test").exit_code != 0);

  Traffic traffic(fleet.Url(), kRequestsPerSecond);
  manifest.version = "2";
  workstation.WriteManifest("hello", manifest.ToYaml());
  CHECK(workstation.BerthJson({"deploy", folder}).at("release") == "2");
  for (const std::string service : ServicesApart::kNames) {
    fleet.services.Kill(service);
    fleet.services.Start(service);
  }
  // Which takes all of them: each is back.
  fleet.services.MustSucceed({"secret", "list", "--app", "hello"});
  fleet.services.MustSucceed({"rollback", "--app", "hello"});
  const TrafficReport report = traffic.Stop();
  CHECK(report.failures == std::vector<std::string>());
  // Both versions were met.
  CHECK(report.versions.size() == 2);
}

TEST_CASE("a host that the edge has no way to is named, and clients are spared it") {
  Fleet fleet;
  const Workstation& workstation = fleet.workstation;
  const std::string network = fleet.HostUp("beta").at("prefix");
  fleet.gate.AddRoute(fleet.HostUp("alpha").at("prefix"), fleet.alpha);
  const HelloManifest manifest = {.replicas = kReplicas, .routes = kPlainRoute};
  workstation.BerthJson(
      {"deploy", "--no-wait", workstation.WriteManifest("hello", manifest.ToYaml())});
  // Without a client that finds out.
  CHECK(fleet.BecomesMissed("beta"));
  const Json why = fleet.FirstFalse();
  INFO(why.dump());
  CHECK_THAT(why.value("sentence", ""),
             Catch::Contains("edge gate could connect to no instance on host beta"));
  CHECK_THAT(why.value("next", ""), Catch::Contains("has a way to " + network));
  CHECK(fleet.HostUp("beta").at("notReachedBy") == Json::array({"gate"}));
  CHECK(fleet.HostUp("alpha").at("notReachedBy") == Json::array());
  CHECK_THAT(workstation.Berth({"host", "list"}).out, Catch::Contains("not reached by edge gate"));
  const std::string status = workstation.Berth({"status", "hello"}).out;
  CHECK_THAT(status, Catch::Contains("not reached by edge gate"));
  CHECK_THAT(status, Catch::Contains("Not all is as it should be"));

  Traffic traffic(fleet.Url(), kRequestsPerSecond);
  fleet.gate.AddRoute(network, fleet.beta);
  CHECK(testing::Eventually(kSeenMax, [&] { return fleet.FirstFalse().empty(); }));
  CHECK(fleet.HostUp("beta").at("notReachedBy") == Json::array());
  CHECK(traffic.Stop().failures == std::vector<std::string>());

  // What was on its way when the route went is lost; what comes after goes to the other host.
  Traffic later(fleet.Url(), kRequestsPerSecond);
  fleet.gate.RemoveRoute(network);
  CHECK(fleet.BecomesMissed("beta"));
  later.Stop();
  Traffic spared(fleet.Url(), kRequestsPerSecond);
  CHECK(fleet.HostUp("beta").at("notReachedBy") == Json::array({"gate"}));
  CHECK(spared.Stop().failures == std::vector<std::string>());
}

}  // namespace
}  // namespace berth::integration
