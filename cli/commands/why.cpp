#include <memory>

#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/explanation.h"
#include "cli/session.h"
#include "common/clock/system_clock.h"

namespace berth::cli {
namespace {

absl::StatusOr<ExitCode> RunWhy(const std::string& target, Session* session) {
  scheduler::v1::WhyRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  request.set_target(target);
  BERTH_ASSIGN_OR_RETURN(const auto why, session->Call<scheduler::v1::WhyResponse>(request));
  Json object = {{"environment", ToJson(request.environment())}};
  object.update(ToJson(why));
  session->output().Object("Explanation", object, ExplanationText(why, SystemClock().Now()));
  return ExitCodeFor(why);
}

}  // namespace

Command WhyCommand() {
  const auto target = std::make_shared<std::string>();
  return {.name = "why",
          .summary = "Say why an environment is not as it should be, and what to do",
          .example = "berth why web",
          .declare =
              [target](Arguments* arguments) {
                arguments->Positional("PROCESS|INSTANCE", target.get(),
                                      "only of this; default: of all");
              },
          .run = [target](Session* session) { return RunWhy(*target, session); }};
}

}  // namespace berth::cli
