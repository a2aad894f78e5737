#include "absl/strings/str_cat.h"
#include "berth/config/v1/config.pb.h"
#include "cli/commands/commands.h"
#include "cli/session.h"
#include "cli/wording.h"
#include "common/clock/system_clock.h"
#include "common/ids/names.h"

namespace berth::cli {
namespace {

absl::StatusOr<ExitCode> RunReleaseList(Session* session) {
  BERTH_ASSIGN_OR_RETURN(const auto name, session->Environment());
  config::v1::GetEnvironmentRequest environment_request;
  *environment_request.mutable_environment() = name;
  BERTH_ASSIGN_OR_RETURN(const auto environment,
                         session->Call<config::v1::GetEnvironmentResponse>(environment_request));
  config::v1::ListReleasesRequest request;
  *request.mutable_environment() = name;
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<config::v1::ListReleasesResponse>(request));
  const absl::Time now = SystemClock().Now();
  Json items = Json::array();
  Table table = {{"RELEASE", "CURRENT", "IMAGE", "REPLICAS", "AGE", "BY", "ORIGIN"}, {}};
  for (const config::v1::Release& release : response.releases()) {
    const bool current = release.number() == environment.environment().current_release();
    Json item = ToJson(release);
    item["current"] = current;
    items.push_back(std::move(item));
    table.rows.push_back({absl::StrCat(release.number()), current ? "*" : "",
                          ShortImage(release.image()), CountsText(release.replicas()),
                          AgeText(release.create_time(), now), release.created_by(),
                          release.origin()});
  }
  session->output().List("ReleaseList", items, table,
                         absl::StrCat(berth::ToString(name), " has no release."));
  return ExitCode::kSuccess;
}

}  // namespace

Command ReleaseListCommand() {
  return {.name = "release list",
          .summary = "List the releases of an environment, newest first",
          .example = "berth release list --app notes",
          .declare = nullptr,
          .run = RunReleaseList};
}

}  // namespace berth::cli
