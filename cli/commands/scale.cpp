#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "berth/config/v1/config.pb.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/rollout.h"
#include "cli/session.h"
#include "cli/wording.h"
#include "common/ids/names.h"

namespace berth::cli {
namespace {

struct ScaleOptions {
  std::vector<std::string> counts;
  WaitOptions wait;
};

absl::StatusOr<ExitCode> RunScale(const ScaleOptions& options, Session* session) {
  config::v1::ScaleRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  for (const std::string& text : options.counts) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    uint32_t count = 0;
    if (parts.first.empty() || !absl::SimpleAtoi(parts.second, &count)) {
      return UsageError(absl::StrCat("\"", text, "\" is not PROCESS=COUNT, such as web=3"));
    }
    (*request.mutable_replicas())[parts.first] = count;
  }
  BERTH_ASSIGN_OR_RETURN(const auto response, session->Call<config::v1::ScaleResponse>(request));
  session->output().Say(absl::StrCat(response.unchanged() ? "unchanged: " : "scaling ",
                                     berth::ToString(request.environment()), " to ",
                                     CountsText(request.replicas())));
  return FollowRollout({request.environment(), response.release(), response.promotion()},
                       options.wait, "Scale", ToJson(response), session);
}

}  // namespace

Command ScaleCommand() {
  const auto options = std::make_shared<ScaleOptions>();
  return {.name = "scale",
          .summary = "Change how many instances run, and wait until they do",
          .example = "berth scale web=3 worker=1",
          .declare =
              [options](Arguments* arguments) {
                arguments->RequiredPositionals("PROCESS=COUNT", &options->counts,
                                               "instances of a process type");
                options->wait.Declare(arguments);
              },
          .run = [options](Session* session) { return RunScale(*options, session); }};
}

}  // namespace berth::cli
