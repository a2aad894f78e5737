#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/session.h"
#include "cli/wording.h"

namespace berth::cli {
namespace {

std::string StateOf(const auth::v1::Machine& machine, const scheduler::v1::Edge& edge) {
  if (machine.status() == auth::v1::MACHINE_STATUS_UNKNOWN) return "unknown";
  return absl::StrCat(PresenceText(edge.presence()), edge.excluded() ? ", excluded" : "");
}

std::string ProblemsOf(const auth::v1::Machine& machine, const scheduler::v1::Edge& edge) {
  if (machine.status() == auth::v1::MACHINE_STATUS_UNKNOWN) {
    return absl::StrCat("its keys changed; see `berth edge approve ", machine.name(), "`");
  }
  std::vector<std::string> problems;
  for (const auto& [port, why] :
       std::map(edge.listener_problems().begin(), edge.listener_problems().end())) {
    problems.push_back(absl::StrCat("port ", port, ": ", why));
  }
  if (edge.not_reached_size() > 0) {
    problems.push_back(absl::StrCat("does not reach ", absl::StrJoin(edge.not_reached(), " ")));
  }
  return absl::StrJoin(problems, "; ");
}

absl::StatusOr<ExitCode> RunEdgeList(Session* session) {
  auth::v1::ListMachinesRequest members;
  BERTH_ASSIGN_OR_RETURN(*members.mutable_org(), session->Org());
  scheduler::v1::ListEdgesRequest request;
  request.set_org(members.org());
  BERTH_ASSIGN_OR_RETURN(const auto machines,
                         session->Call<auth::v1::ListMachinesResponse>(members));
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<scheduler::v1::ListEdgesResponse>(request));
  std::map<std::string, scheduler::v1::Edge> edges;
  for (const scheduler::v1::Edge& edge : response.edges()) edges[edge.name()] = edge;
  Json items = Json::array();
  Table table = {{"EDGE", "STATE", "CONNECTIONS", "PROBLEMS"}, {}};
  for (const auth::v1::Machine& machine : machines.machines()) {
    if (machine.kind() != auth::v1::MACHINE_KIND_EDGE) continue;
    scheduler::v1::Edge& edge = edges[machine.name()];
    edge.set_name(machine.name());
    Json item = ToJson(edge);
    item["membership"] = auth::v1::MachineStatus_Name(machine.status());
    items.push_back(item);
    table.rows.push_back({machine.name(), StateOf(machine, edge), absl::StrCat(edge.connections()),
                          ProblemsOf(machine, edge)});
  }
  session->output().List("EdgeList", items, table,
                         absl::StrCat(members.org(), " has no edge. `berth edge add` makes one."));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunEdgeExclude(const std::string& name, Session* session) {
  scheduler::v1::ExcludeEdgeRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  request.set_edge(name);
  BERTH_RETURN_IF_ERROR(session->Call<scheduler::v1::ExcludeEdgeResponse>(request).status());
  session->output().Object(
      "EdgeExcluded", {{"edge", name}},
      absl::StrCat("Rollouts go on without the edge ", name,
                   ". Should it still run, what it sends to replaced instances is lost.\n"));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunEdgeInclude(const std::string& name, Session* session) {
  scheduler::v1::IncludeEdgeRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  request.set_edge(name);
  BERTH_RETURN_IF_ERROR(session->Call<scheduler::v1::IncludeEdgeResponse>(request).status());
  session->output().Object("EdgeIncluded", {{"edge", name}},
                           absl::StrCat("Rollouts wait for the edge ", name, " again.\n"));
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> EdgeCommands() {
  const auto name = std::make_shared<std::string>();
  const auto declare = [name](Arguments* arguments) {
    arguments->RequiredPositional("NAME", name.get(), "its name");
  };
  return {{.name = "edge list",
           .summary = "List the edges of an org with what they see",
           .example = "berth edge list",
           .declare = nullptr,
           .run = RunEdgeList},
          {.name = "edge exclude",
           .summary = "Let rollouts go on without an edge that is dead or cut off",
           .example = "berth edge exclude alpha",
           .declare = declare,
           .run = [name](Session* session) { return RunEdgeExclude(*name, session); }},
          {.name = "edge include",
           .summary = "Make rollouts wait for an edge again",
           .example = "berth edge include alpha",
           .declare = declare,
           .run = [name](Session* session) { return RunEdgeInclude(*name, session); }}};
}

}  // namespace berth::cli
