#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/session.h"
#include "cli/wording.h"
#include "common/net/ipv6_text.h"

namespace berth::cli {
namespace {

std::string CpuText(const scheduler::v1::Host& host) {
  return absl::StrFormat("%.1f/%.1f", host.promised().cpu_milli() / 1000.0,
                         host.facts().capacity().cpu_milli() / 1000.0);
}

std::string MemoryText(const scheduler::v1::Host& host) {
  return absl::StrCat(BytesText(host.promised().memory_bytes()), "/",
                      BytesText(host.facts().capacity().memory_bytes()));
}

absl::StatusOr<ExitCode> RunHostList(Session* session) {
  scheduler::v1::ListHostsRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<scheduler::v1::ListHostsResponse>(request));
  Json items = Json::array();
  Table table = {{"HOST", "STATE", "INSTANCES", "CPU", "MEMORY", "PREFIX", "AGENT", "PROBLEMS"},
                 {}};
  for (const scheduler::v1::Host& host : response.hosts()) {
    items.push_back(ToJson(host));
    const int problems = host.facts().problems_size();
    table.rows.push_back({host.name(), PresenceText(host.presence()),
                          absl::StrCat(host.instances()), CpuText(host), MemoryText(host),
                          Ipv6NetworkText(host.prefix()), host.facts().agent_version(),
                          problems == 0 ? "" : absl::StrCat(problems, ", see `berth doctor`")});
  }
  session->output().List(
      "HostList", items, table,
      absl::StrCat(request.org(), " has no host. `berth up` makes one of this machine."));
  return ExitCode::kSuccess;
}

}  // namespace

Command HostListCommand() {
  return {.name = "host list",
          .summary = "List the hosts of an org with their room",
          .example = "berth host list",
          .declare = nullptr,
          .run = RunHostList};
}

}  // namespace berth::cli
