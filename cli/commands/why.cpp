#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/explanation.h"
#include "cli/session.h"
#include "common/clock/system_clock.h"

namespace berth::cli {
namespace {

using scheduler::v1::WhyRequest;
using scheduler::v1::WhyResponse;

// Answers for what `target` names: a process type or an instance of the environment that is spoken
// of, where there is one of that name, otherwise an environment, APP or APP/ENV.
absl::StatusOr<WhyResponse> Ask(const std::string& target, WhyRequest* request, Session* session) {
  const bool is_environment = absl::StrContains(target, '/');
  const auto spoken_of = session->Environment();
  absl::Status nothing = spoken_of.status();
  if (!is_environment && spoken_of.ok()) {
    *request->mutable_environment() = *spoken_of;
    request->set_target(target);
    absl::StatusOr<WhyResponse> why = session->Call<WhyResponse>(*request);
    if (target.empty() || !absl::IsNotFound(why.status())) return why;
    nothing = why.status();
  }
  if (target.empty()) return nothing;
  request->clear_target();
  BERTH_ASSIGN_OR_RETURN(*request->mutable_environment(), session->Environment(target));
  absl::StatusOr<WhyResponse> why = session->Call<WhyResponse>(*request);
  // What there is not, was meant as a process or an instance rather than as an app.
  return absl::IsNotFound(why.status()) && !is_environment && spoken_of.ok() ? nothing : why;
}

absl::StatusOr<ExitCode> RunWhy(const std::string& target, Session* session) {
  WhyRequest request;
  BERTH_ASSIGN_OR_RETURN(const WhyResponse why, Ask(target, &request, session));
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
                arguments->Positional("PROCESS|INSTANCE|APP[/ENV]", target.get(),
                                      "of what; default: of the environment of ./berth.yaml");
              },
          .run = [target](Session* session) { return RunWhy(*target, session); }};
}

}  // namespace berth::cli
