#include "agent/runtime/podman/host_facts.h"

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/libpod/json_fields.h"

namespace berth {

DriverFacts FactsFromInfo(const nlohmann::json& info) {
  const nlohmann::json& host = FieldOf(info, "host");
  const std::string runtime = StringOf(FieldOf(host, "ociRuntime"), "name");
  DriverFacts facts;
  facts.version = StringOf(FieldOf(info, "version"), "Version");
  facts.cgroup_version = StringOf(host, "cgroupVersion") == "v2" ? 2 : 1;
  facts.network_backend = StringOf(host, "networkBackend");
  facts.rootless = BoolOf(FieldOf(host, "security"), "rootless");

  if (facts.cgroup_version == 1 && runtime == "crun") {
    facts.problems.push_back(
        {"crun may refuse this host's cgroup v1 layout",
         "install runc and set runtime=\"runc\" under [engine] in containers.conf, or boot with "
         "systemd.unified_cgroup_hierarchy=1"});
  }
  if (runtime.empty()) {
    facts.problems.push_back({"Podman has no OCI runtime", "install crun or runc"});
  }
  if (facts.network_backend != "netavark") {
    facts.problems.push_back(
        {absl::StrCat("Podman's network backend is \"", facts.network_backend, "\""),
         "install netavark and iptables, and set network_backend=\"netavark\" under [network] in "
         "containers.conf"});
  }
  if (StringOf(host, "eventLogger") == "none") {
    facts.problems.push_back({"Podman keeps no events, so that exits go unnoticed",
                              "set events_logger=\"file\" under [engine] in containers.conf"});
  }
  if (facts.rootless) {
    facts.problems.push_back(
        {"Podman runs rootless: instances have no address that the host can reach",
         "run the agent as root, or use the instances from other instances of this host only"});
  }
  return facts;
}

}  // namespace berth
