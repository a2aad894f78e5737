#include <memory>

#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "cli/commands/commands.h"
#include "cli/session.h"
#include "cli/wording.h"

namespace berth::cli {
namespace {

absl::StatusOr<ExitCode> RunOrgCreate(const std::string& name, Session* session) {
  auth::v1::CreateOrgRequest request;
  request.set_org(name);
  BERTH_RETURN_IF_ERROR(session->Call<auth::v1::CreateOrgResponse>(request).status());
  session->output().Object(
      "Org", {{"name", name}},
      absl::StrCat("The org ", name, " is there, and you are its admin. Say --org ", name,
                   " to work in it.\n"));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunOrgList(Session* session) {
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<auth::v1::ListOrgsResponse>(auth::v1::ListOrgsRequest()));
  Json items = Json::array();
  Table table = {{"ORG", "YOUR ROLE"}, {}};
  for (const auth::v1::Org& org : response.orgs()) {
    items.push_back(ToJson(org));
    table.rows.push_back({org.name(), RoleText(org.role())});
  }
  session->output().List("OrgList", items, table, "You have a role in no org.");
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> OrgCommands() {
  const auto name = std::make_shared<std::string>();
  return {{.name = "org create",
           .summary = "Make an org; you become its admin",
           .example = "berth org create acme",
           .declare =
               [name](Arguments* arguments) {
                 arguments->RequiredPositional("NAME", name.get(), "its name: a DNS label");
               },
           .run = [name](Session* session) { return RunOrgCreate(*name, session); }},
          {.name = "org list",
           .summary = "List the orgs that you have a role in",
           .example = "berth org list",
           .declare = nullptr,
           .run = RunOrgList}};
}

}  // namespace berth::cli
