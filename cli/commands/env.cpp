#include <memory>

#include "absl/strings/str_cat.h"
#include "berth/config/v1/config.pb.h"
#include "cli/commands/commands.h"
#include "cli/confirm.h"
#include "cli/rollout.h"
#include "cli/session.h"
#include "common/ids/names.h"

namespace berth::cli {
namespace {

std::string RolloutText(config::v1::RolloutState state) {
  switch (state) {
    case config::v1::ROLLOUT_STATE_RUNNING:
      return "running";
    case config::v1::ROLLOUT_STATE_SUCCEEDED:
      return "succeeded";
    case config::v1::ROLLOUT_STATE_FAILED:
      return "failed";
    default:
      return "none";
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
    table.rows.push_back(
        {environment.name().app(), environment.name().env(),
         environment.has_desired() ? absl::StrCat(environment.desired().number()) : "none",
         environment.deleted() ? "is deleted" : RolloutText(environment.rollout()),
         environment.rollout_reason()});
  }
  session->output().List(
      "EnvironmentList", items, table,
      absl::StrCat(request.org(), " has no such environment. `berth deploy` makes one."));
  return ExitCode::kSuccess;
}

struct DeleteOptions {
  std::string reference;
  bool yes = false;
  WaitOptions wait;
};

absl::StatusOr<ExitCode> RunEnvDelete(const DeleteOptions& options, Session* session) {
  config::v1::DeleteEnvironmentRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment(options.reference));
  config::v1::GetEnvironmentRequest known;
  *known.mutable_environment() = request.environment();
  BERTH_RETURN_IF_ERROR(session->Call<config::v1::GetEnvironmentResponse>(known).status());
  const std::string name = berth::ToString(request.environment());
  BERTH_RETURN_IF_ERROR(Confirm(
      absl::StrCat("Stop everything in ", name, " and give up its routes?"), name, options.yes));
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<config::v1::DeleteEnvironmentResponse>(request));
  return FollowRollout({request.environment(), 0, response.promotion()}, options.wait,
                       "EnvironmentDeleted", ToJson(response), session);
}

}  // namespace

std::vector<Command> EnvCommands() {
  const auto options = std::make_shared<DeleteOptions>();
  return {{.name = "env list",
           .summary = "List the environments of an org, or of an app",
           .example = "berth env list --app notes",
           .declare = nullptr,
           .run = RunEnvList},
          {.name = "env delete",
           .summary = "Stop all that runs in an environment and give up its routes",
           .example = "berth env delete notes/staging",
           .declare =
               [options](Arguments* arguments) {
                 arguments->Positional("APP[/ENV]", &options->reference,
                                       "the environment; default: that of ./berth.yaml");
                 arguments->Flag("--yes", &options->yes, "do not ask");
                 options->wait.Declare(arguments);
               },
           .run = [options](Session* session) { return RunEnvDelete(*options, session); }}};
}

}  // namespace berth::cli
