#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/environment_watch.h"
#include "cli/errors.h"
#include "cli/rollout.h"
#include "cli/session.h"
#include "cli/wording.h"
#include "common/ids/names.h"
#include "common/status/error_details.h"

namespace berth::cli {
namespace {

using scheduler::v1::Instance;
using scheduler::v1::RestartRequest;
using scheduler::v1::RestartResponse;

struct RestartOptions {
  std::vector<std::string> process_types;
  WaitOptions wait;
};

std::string HowToLook(const RestartRequest& request) {
  return absl::StrCat("the restart goes on; look with `berth why --app ",
                      request.environment().app(), " --env ", request.environment().env(), "`");
}

// Why the restart did not get to its end; what was there before serves on.
absl::Status Failure(const RestartRequest& request, const RestartResponse& restart,
                     const EnvironmentView& view, RestartEnd end) {
  std::string text;
  switch (end) {
    case RestartEnd::kReplaced:
      return absl::AbortedError("another release is being rolled out meanwhile");
    case RestartEnd::kNoRoom:
      text =
          absl::StrCat("there is no room to start a new instance first: ", view.rollout->reason());
      break;
    default: {
      const auto failed = std::find_if(
          view.instances.begin(), view.instances.end(), [&restart](const Instance& instance) {
            return instance.given_up() && instance.restart() >= restart.restart();
          });
      text = absl::StrCat("instance ", failed->id(), " failed: ", failed->observed().reason());
      for (const std::string& line : failed->observed().log_tail()) {
        absl::StrAppend(&text, "\n  | ", line);
      }
    }
  }
  return WithAction(
      WithReason(absl::AbortedError(absl::StrCat(text, "\nwhat was not replaced yet still serves")),
                 kRolloutFailedReason),
      absl::StrCat("mend it and restart again, or deploy; `berth why --app ",
                   request.environment().app(), " --env ", request.environment().env(),
                   "` says more"));
}

absl::StatusOr<ExitCode> RunRestart(const RestartOptions& options, Session* session) {
  RestartRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  for (const std::string& type : options.process_types) request.add_process_types(type);
  BERTH_ASSIGN_OR_RETURN(const auto restart, session->Call<RestartResponse>(request));
  const Output& output = session->output();
  const std::string what = absl::StrCat(absl::StrJoin(restart.process_types(), " "), " of ",
                                        berth::ToString(request.environment()));
  Json result = ToJson(restart);
  if (options.wait.no_wait) {
    output.Object("Restart", result, absl::StrCat(HowToLook(request), "\n"));
    return ExitCode::kSuccess;
  }
  BERTH_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::Channel> channel, session->channel());
  EnvironmentWatch watch(request.environment(), absl::StrCat("restarting ", what), channel, output);
  std::optional<RestartEnd> end;
  const absl::Status waited = watch.Wait(options.wait.timeout, [&](const EnvironmentView& view) {
    end = EndOf(view, restart);
    return end.has_value();
  });
  if (absl::IsCancelled(waited) || absl::IsDeadlineExceeded(waited)) {
    return WithAction(waited, HowToLook(request));
  }
  BERTH_RETURN_IF_ERROR(waited);
  if (*end != RestartEnd::kDone) return Failure(request, restart, watch.view(), *end);
  result["instances"] = Json::array();
  for (const Instance& instance : watch.view().instances) {
    result["instances"].push_back(ToJson(instance));
  }
  output.Object("Restart", result,
                absl::StrCat("restarted ", what, ": ", restart.replicas(), " ready in ",
                             ElapsedText(watch.elapsed()), "\n"));
  return ExitCode::kSuccess;
}

}  // namespace

Command RestartCommand() {
  const auto options = std::make_shared<RestartOptions>();
  return {.name = "restart",
          .summary = "Replace instances by new ones of the same release, also those that gave up",
          .example = "berth restart web",
          .declare =
              [options](Arguments* arguments) {
                arguments->Positionals("PROCESS", &options->process_types,
                                       "process types; default: all");
                options->wait.Declare(arguments);
              },
          .run = [options](Session* session) { return RunRestart(*options, session); }};
}

}  // namespace berth::cli
