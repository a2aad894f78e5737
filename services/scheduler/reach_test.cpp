#include "services/scheduler/reach.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "services/scheduler/model_fleet.h"

namespace berth::scheduler {
namespace {

using Names = std::set<std::string>;

// Four replicas on two hosts, which two edges send connections to.
struct TwoHosts {
  TwoHosts() {
    fleet.AddHost("alpha", 1000 * kMiB);
    fleet.AddHost("beta", 1000 * kMiB);
    fleet.AddEdge("far");
    fleet.AddEdge("near");
    config::v1::Release release = Fleet::Release("registry.example/notes@sha256:1", 4);
    config::v1::Route& route = (*release.mutable_manifest()->mutable_routes())["public"];
    route.mutable_to()->set_process("web");
    route.mutable_tcp()->set_port(7070);
    fleet.Promote(release);
    fleet.AnswerRoutes();
    fleet.RunUntilQuiet();
    for (const auto& [id, instance] : fleet.EnvironmentOf().instances) {
      on[instance.host].push_back(id);
    }
    REQUIRE(on["alpha"].size() == 2);
    REQUIRE(on["beta"].size() == 2);
  }

  v1::ReportEdgeRequest Missing(const std::vector<std::string>& instances) const {
    v1::ReportEdgeRequest report;
    for (const std::string& instance : instances) report.add_not_reached(instance);
    return report;
  }

  Fleet fleet;
  std::map<std::string, std::vector<std::string>> on;  // Instances by host.
};

TEST_CASE("a host is missed where none of its instances is reached", "[scheduler][reach]") {
  TwoHosts hosts;
  const State& state = hosts.fleet.state();
  CHECK(HostsMissed(state, {}) == Names{});
  CHECK(HostsMissed(state, hosts.Missing({hosts.on["beta"][0]})) == Names{});
  CHECK(HostsMissed(state, hosts.Missing(hosts.on["beta"])) == Names{"beta"});
}

TEST_CASE("people are shown which edges reach no host and no instance", "[scheduler][reach]") {
  TwoHosts hosts;
  const State& state = hosts.fleet.state();
  const std::string one = hosts.on["beta"][0];
  const EdgeReports reports = {{"far", hosts.Missing(hosts.on["beta"])},
                               {"near", hosts.Missing({one})},
                               {"removed", hosts.Missing(hosts.on["alpha"])}};
  v1::ListHostsResponse shown = state.HostsOf("acme");
  ShowMissed(state, reports, &shown);
  CHECK(shown.hosts(0).not_reached_by_size() == 0);
  REQUIRE(shown.hosts(1).not_reached_by_size() == 1);
  CHECK(shown.hosts(1).not_reached_by(0) == "far");

  auto status = state.StatusOf(Fleet::Name());
  REQUIRE(status.ok());
  ShowMissed(state, reports, &*status);
  CHECK(status->not_reached_by_size() == 2);
  REQUIRE(status->not_reached_by().at(one).names_size() == 2);
  CHECK(status->not_reached_by().at(one).names(1) == "near");
}

}  // namespace
}  // namespace berth::scheduler
