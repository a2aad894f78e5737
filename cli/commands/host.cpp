#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
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

std::string LabelsText(const google::protobuf::Map<std::string, std::string>& labels) {
  return absl::StrJoin(std::map(labels.begin(), labels.end()), " ", absl::PairFormatter("="));
}

std::string ProblemsOf(const auth::v1::Machine& machine, const scheduler::v1::Host& host) {
  if (machine.status() == auth::v1::MACHINE_STATUS_UNKNOWN) {
    return absl::StrCat("its keys changed; see `berth host approve ", machine.name(), "`");
  }
  std::vector<std::string> problems;
  if (host.not_reached_by_size() > 0) {
    problems.push_back(
        absl::StrCat("not reached by ", EdgesText(host.not_reached_by()), "; see `berth why`"));
  }
  if (const int own = host.facts().problems_size(); own > 0) {
    problems.push_back(absl::StrCat(own, ", see `berth doctor`"));
  }
  return absl::StrJoin(problems, "; ");
}

absl::StatusOr<ExitCode> RunHostList(Session* session) {
  scheduler::v1::ListHostsRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  auth::v1::ListMachinesRequest members;
  members.set_org(request.org());
  BERTH_ASSIGN_OR_RETURN(const auto machines,
                         session->Call<auth::v1::ListMachinesResponse>(members));
  std::map<std::string, auth::v1::Machine> member_of;
  for (const auth::v1::Machine& machine : machines.machines()) {
    if (machine.kind() == auth::v1::MACHINE_KIND_HOST) member_of[machine.name()] = machine;
  }
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<scheduler::v1::ListHostsResponse>(request));
  Json items = Json::array();
  Table table = {
      {"HOST", "STATE", "INSTANCES", "CPU", "MEMORY", "PREFIX", "LABELS", "AGENT", "PROBLEMS"}, {}};
  for (const scheduler::v1::Host& host : response.hosts()) {
    const auth::v1::Machine& machine = member_of[host.name()];
    Json item = ToJson(host);
    item["membership"] = auth::v1::MachineStatus_Name(machine.status());
    items.push_back(item);
    table.rows.push_back({host.name(), PresenceText(host.presence()),
                          absl::StrCat(host.instances()), CpuText(host), MemoryText(host),
                          Ipv6NetworkText(host.prefix()), LabelsText(host.labels()),
                          host.facts().agent_version(), ProblemsOf(machine, host)});
  }
  session->output().List(
      "HostList", items, table,
      absl::StrCat(request.org(), " has no host. `berth up` makes one of this machine."));
  return ExitCode::kSuccess;
}

struct LabelOptions {
  std::string host;
  std::vector<std::string> changes;
};

absl::StatusOr<ExitCode> RunHostLabel(const LabelOptions& options, Session* session) {
  scheduler::v1::LabelHostRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  request.set_host(options.host);
  for (const std::string& change : options.changes) {
    const std::vector<std::string> parts = absl::StrSplit(change, absl::MaxSplits('=', 1));
    if (parts.size() == 2) {
      (*request.mutable_labels())[parts[0]] = parts[1];
    } else if (absl::EndsWith(change, "-")) {
      request.add_removed(change.substr(0, change.size() - 1));
    } else {
      return UsageError(absl::StrCat("\"", change,
                                     "\" is neither NAME=VALUE, which sets a label, nor NAME-, "
                                     "which removes one"));
    }
  }
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<scheduler::v1::LabelHostResponse>(request));
  const std::string labels = LabelsText(response.labels());
  Json result = ToJson(response);
  result["host"] = options.host;
  session->output().Object(
      "HostLabels", result,
      absl::StrCat(options.host, " has ", labels.empty() ? "no labels" : labels, "\n"));
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> HostCommands() {
  const auto options = std::make_shared<LabelOptions>();
  return {{.name = "host list",
           .summary = "List the hosts of an org with their room",
           .example = "berth host list",
           .declare = nullptr,
           .run = RunHostList},
          {.name = "host label",
           .summary = "Set or remove labels of a host, which a manifest's placement.require names",
           .example = "berth host label beta zone=eu-1 disk-",
           .declare =
               [options](Arguments* arguments) {
                 arguments->RequiredPositional("NAME", &options->host, "its name");
                 arguments->RequiredPositionals("LABEL=VALUE|LABEL-", &options->changes,
                                                "a label to set, or to remove");
               },
           .run = [options](Session* session) { return RunHostLabel(*options, session); }}};
}

}  // namespace berth::cli
