#include "absl/strings/str_cat.h"
#include "berth/config/v1/config.pb.h"
#include "cli/commands/commands.h"
#include "cli/session.h"

namespace berth::cli {
namespace {

std::string RolloutText(config::v1::RolloutState state) {
  switch (state) {
    case config::v1::ROLLOUT_STATE_RUNNING: return "running";
    case config::v1::ROLLOUT_STATE_SUCCEEDED: return "succeeded";
    case config::v1::ROLLOUT_STATE_FAILED: return "failed";
    default: return "none";
  }
}

absl::StatusOr<ExitCode> RunEnvList(Session* session) {
  config::v1::ListEnvironmentsRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<config::v1::ListEnvironmentsResponse>(request));
  // An app that is only that of this folder narrows nothing: people ask what there is.
  const std::string& app = session->line().global().target.app;
  Json items = Json::array();
  Table table = {{"APP", "ENV", "RELEASE", "ROLLOUT", "REASON"}, {}};
  for (const config::v1::Environment& environment : response.environments()) {
    if (!app.empty() && environment.name().app() != app) continue;
    items.push_back(ToJson(environment));
    table.rows.push_back({environment.name().app(), environment.name().env(),
                          absl::StrCat(environment.desired().number()),
                          RolloutText(environment.rollout()), environment.rollout_reason()});
  }
  session->output().List(
      "EnvironmentList", items, table,
      absl::StrCat(request.org(), " has no such environment. `berth deploy` makes one."));
  return ExitCode::kSuccess;
}

}  // namespace

Command EnvListCommand() {
  return {.name = "env list",
          .summary = "List the environments of an org, or of an app",
          .example = "berth env list --app notes",
          .declare = nullptr,
          .run = RunEnvList};
}

}  // namespace berth::cli
