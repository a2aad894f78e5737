#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "berth/config/v1/config.pb.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/rollout.h"
#include "cli/session.h"
#include "common/ids/names.h"

namespace berth::cli {
namespace {

struct RollbackOptions {
  std::string release;
  WaitOptions wait;
};

absl::StatusOr<ExitCode> RunRollback(const RollbackOptions& options, Session* session) {
  config::v1::RollbackRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  if (!options.release.empty()) {
    uint64_t release = 0;
    if (!absl::SimpleAtoi(options.release, &release) || release == 0) {
      return WithAction(UsageError(absl::StrCat("\"", options.release, "\" is not a release")),
                        "see which there are with `berth release list`");
    }
    request.set_release(release);
  }
  BERTH_ASSIGN_OR_RETURN(const auto response, session->Call<config::v1::RollbackResponse>(request));
  session->output().Say(absl::StrCat("rolling ", berth::ToString(request.environment()),
                                     " back to release ", response.release()));
  return FollowRollout({request.environment(), response.release(), response.promotion()},
                       options.wait, "Rollback", ToJson(response), session);
}

}  // namespace

Command RollbackCommand() {
  const auto options = std::make_shared<RollbackOptions>();
  return {.name = "rollback",
          .summary = "Go back to an earlier release and wait until it is live",
          .example = "berth rollback 2",
          .declare =
              [options](Arguments* arguments) {
                arguments->Positional("RELEASE", &options->release,
                                      "its number; default: the one before the current one");
                options->wait.Declare(arguments);
              },
          .run = [options](Session* session) { return RunRollback(*options, session); }};
}

}  // namespace berth::cli
