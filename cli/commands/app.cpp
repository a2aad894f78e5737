#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "berth/config/v1/config.pb.h"
#include "cli/commands/commands.h"
#include "cli/session.h"

namespace berth::cli {
namespace {

absl::StatusOr<ExitCode> RunAppList(Session* session) {
  config::v1::ListEnvironmentsRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<config::v1::ListEnvironmentsResponse>(request));
  // An app is there because an environment of it is.
  std::map<std::string, std::vector<std::string>> apps;
  for (const config::v1::Environment& environment : response.environments()) {
    apps[environment.name().app()].push_back(environment.name().env());
  }
  Json items = Json::array();
  Table table = {{"APP", "ENVIRONMENTS"}, {}};
  for (const auto& [app, environments] : apps) {
    items.push_back({{"org", request.org()}, {"app", app}, {"environments", environments}});
    table.rows.push_back({app, absl::StrJoin(environments, " ")});
  }
  session->output().List("AppList", items, table,
                         absl::StrCat(request.org(), " has no app. `berth deploy` makes one."));
  return ExitCode::kSuccess;
}

}  // namespace

Command AppListCommand() {
  return {.name = "app list",
          .summary = "List the apps of an org",
          .example = "berth app list",
          .declare = nullptr,
          .run = RunAppList};
}

}  // namespace berth::cli
