#include "agent/network/bridge.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/network/host_forwarding.h"
#include "agent/runtime/program.h"
#include "common/check/check.h"
#include "common/libpod/json_fields.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

using nlohmann::json;
// What is shown of the containers that are in the way.
constexpr size_t kNamesShownMax = 5;

// Whether the network is what EnsureNetwork would make for this prefix.
bool Matches(const json& network, const HostPrefix& prefix) {
  bool has_prefix = false;
  bool has_ipv4 = false;
  for (const json& subnet : FieldOf(network, "subnets")) {
    const std::string text = StringOf(subnet, "subnet");
    if (text == prefix.ipv6) {
      has_prefix = true;
    } else if (text.find(':') == std::string::npos) {
      has_ipv4 = true;
    } else {
      return false;
    }
  }
  return has_prefix && has_ipv4 == prefix.ipv4_egress;
}

std::string Subnets(const json& network) {
  std::vector<std::string> subnets;
  for (const json& subnet : FieldOf(network, "subnets")) {
    subnets.push_back(StringOf(subnet, "subnet"));
  }
  return absl::StrJoin(subnets, ", ");
}

}  // namespace

Bridge::Bridge(const PodmanServiceSettings& settings, std::string name)
    : name_(std::move(name)),
      service_(settings),
      client_(settings.socket_path, [this] { return service_.EnsureRunning(); }) {
  BERTH_CHECK(!name_.empty() && name_.size() <= kBridgeNameMax);
}

absl::Status Bridge::EnsureNetwork(const HostPrefix& prefix) {
  const absl::StatusOr<json> network =
      client_.Call({.path = absl::StrCat("/networks/", PercentEncode(name_), "/json")});
  if (!network.ok() && !absl::IsNotFound(network.status())) return network.status();
  if (!network.ok()) {
    BERTH_RETURN_IF_ERROR(Create(prefix));
  } else if (!Matches(*network, prefix)) {
    BERTH_RETURN_IF_ERROR(RemoveUnused(*network));
    BERTH_RETURN_IF_ERROR(Create(prefix));
  }
  return ForwardBetweenHosts(prefix);
}

absl::Status Bridge::RemoveLeftover() {
  const std::string interface = InterfaceName();
  const auto link = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"ip", "link"});
    return RunProgram(arguments, {.timeout = kNetworkCallMax});
  };
  BERTH_ASSIGN_OR_RETURN(const ProgramResult found, link({"show", "dev", interface}));
  if (found.exit_code != 0) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const ProgramResult attached, link({"show", "master", interface}));
  if (attached.exit_code != 0 || !attached.output.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("interface ", interface,
                     " is in use and belongs to no network of Podman's: remove it with "
                     "ip link delete ",
                     interface, ", or name another network in the agent's settings"));
  }
  BERTH_ASSIGN_OR_RETURN(const ProgramResult removed, link({"delete", interface}));
  if (removed.exit_code == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("interface ", interface,
                                                    " of an earlier "
                                                    "network cannot be removed: ",
                                                    removed.output));
}

absl::Status Bridge::Create(const HostPrefix& prefix) {
  BERTH_RETURN_IF_ERROR(RemoveLeftover());
  const json request = {
      {"name", name_},
      {"driver", "bridge"},
      {"network_interface", InterfaceName()},
      // Podman's word for both kinds of addresses: where only IPv6 subnets are given, it adds an
      // IPv4 one that is free. Without it, IPv6 alone is what the subnet says.
      {"ipv6_enabled", prefix.ipv4_egress},
      {"dns_enabled", false},
      {"subnets", {{{"subnet", prefix.ipv6}}}},
      {"labels", {{"berth.network", name_}}},
  };
  return client_.Call({.method = "POST", .path = "/networks/create", .body = request.dump()})
      .status();
}

absl::Status Bridge::KeepHardwareAddress() {
  const UniqueFd socket_fd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq interface = {};
  InterfaceName().copy(interface.ifr_name, sizeof(interface.ifr_name) - 1);
  // One that was set, were it to what it is, no longer follows the members.
  if (ioctl(socket_fd.get(), SIOCGIFHWADDR, &interface) == 0 &&
      ioctl(socket_fd.get(), SIOCSIFHWADDR, &interface) == 0) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(
      errno, absl::StrCat("the hardware address of ", InterfaceName(), " cannot be kept"));
}

absl::Status Bridge::RemoveUnused(const json& network) {
  const json filters = {{"network", {name_}}};
  BERTH_ASSIGN_OR_RETURN(const json containers,
                         client_.Call({.path = absl::StrCat("/containers/json?all=true&filters=",
                                                            PercentEncode(filters.dump()))}));
  if (!containers.empty()) {
    std::vector<std::string> names;
    for (const json& container : containers) {
      if (names.size() == kNamesShownMax) break;
      for (const json& name : FieldOf(container, "Names")) names.push_back(name.dump());
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "network ", name_, " has ", Subnets(network), ", not this host's prefix, and ",
        containers.size(), " containers are attached to it (", absl::StrJoin(names, ", "),
        "): drain the host, or remove them with podman rm, and it is made anew"));
  }
  return client_
      .Call({.method = "DELETE", .path = absl::StrCat("/networks/", PercentEncode(name_))})
      .status();
}

absl::Status Bridge::Remove() {
  const absl::Status removed =
      client_.Call({.method = "DELETE", .path = absl::StrCat("/networks/", PercentEncode(name_))})
          .status();
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

absl::StatusOr<std::string> Bridge::Interface() {
  BERTH_ASSIGN_OR_RETURN(
      const json network,
      client_.Call({.path = absl::StrCat("/networks/", PercentEncode(name_), "/json")}));
  return StringOf(network, "network_interface");
}

}  // namespace berth
