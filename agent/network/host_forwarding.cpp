#include "agent/network/host_forwarding.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/runtime/program.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr char kIpv6Settings[] = "/proc/sys/net/ipv6/conf";

std::string ReadSetting(const std::string& path) {
  std::string value;
  std::ifstream(path) >> value;
  return value;
}

bool WriteSetting(const std::string& path, const char* value) {
  std::ofstream file(path);
  file << value << std::flush;
  return file.good();
}

// A host that forwards no longer listens to router advertisements, unless told to twice; one that
// has its own default route from them would lose it.
void KeepAcceptingRouterAdvertisements() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kIpv6Settings, error)) {
    const std::string setting = entry.path() / "accept_ra";
    if (ReadSetting(setting) == "1") WriteSetting(setting, "2");
  }
}

absl::Status TurnForwardingOn() {
  const std::string forwarding = absl::StrCat(kIpv6Settings, "/all/forwarding");
  if (ReadSetting(forwarding) == "1") return absl::OkStatus();
  KeepAcceptingRouterAdvertisements();
  if (WriteSetting(forwarding, "1")) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "IPv6 forwarding is off and cannot be turned on: run the agent as root, or sysctl -w "
      "net.ipv6.conf.all.forwarding=1");
}

// Puts a rule at the head of a chain unless it is there.
absl::Status EnsureRule(const std::vector<std::string>& table_and_chain,
                        const std::vector<std::string>& rule) {
  const auto run = [&](const char* operation) {
    // -w: others change rules, too; wait for their lock.
    std::vector<std::string> arguments = {
        "ip6tables", "-w", "5", "-t", table_and_chain[0], operation, table_and_chain[1]};
    arguments.insert(arguments.end(), rule.begin(), rule.end());
    return RunProgram(arguments, {.timeout = kNetworkCallMax});
  };
  BERTH_ASSIGN_OR_RETURN(const ProgramResult present, run("-C"));
  if (present.exit_code == 0) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const ProgramResult inserted, run("-I"));
  if (inserted.exit_code == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("ip6tables refuses ", absl::StrJoin(rule, " "), ": ", inserted.output));
}

}  // namespace

absl::Status ForwardBetweenHosts(const HostPrefix& prefix) {
  if (!FindProgram("ip6tables")) {
    return absl::FailedPreconditionError("there is no program ip6tables: install iptables");
  }
  BERTH_RETURN_IF_ERROR(TurnForwardingOn());
  const std::vector<std::string> comment = {"-m", "comment", "--comment", "berth"};
  const auto rule = [&](std::vector<std::string> match) {
    match.insert(match.end(), comment.begin(), comment.end());
    match.insert(match.end(), {"-j", "ACCEPT"});
    return match;
  };
  BERTH_RETURN_IF_ERROR(
      EnsureRule({"filter", "FORWARD"}, rule({"-s", prefix.platform_ipv6, "-d", prefix.ipv6})));
  BERTH_RETURN_IF_ERROR(
      EnsureRule({"filter", "FORWARD"}, rule({"-s", prefix.ipv6, "-d", prefix.platform_ipv6})));
  // Ahead of Podman's rule that gives what leaves the bridge the host's address.
  return EnsureRule({"nat", "POSTROUTING"}, rule({"-s", prefix.ipv6, "-d", prefix.platform_ipv6}));
}

}  // namespace berth
