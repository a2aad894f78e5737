#include <algorithm>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "berth/config/v1/config.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/session.h"
#include "cli/wording.h"
#include "common/clock/system_clock.h"
#include "common/ids/names.h"
#include "common/net/ipv6_text.h"

namespace berth::cli {
namespace {

using scheduler::v1::GetEnvironmentStatusResponse;
using scheduler::v1::Instance;

std::string RolloutText(const scheduler::v1::Rollout& rollout) {
  const bool of_secrets = rollout.cause() == scheduler::v1::ROLLOUT_CAUSE_SECRETS;
  switch (rollout.phase()) {
    case scheduler::v1::ROLLOUT_PHASE_RUNNING: {
      if (rollout.release() == 0) return "everything is being taken away";
      const std::string waiting = rollout.reason().empty() ? "" : ": " + rollout.reason();
      return absl::StrCat("release ", rollout.release(),
                          of_secrets ? " is being given new secrets" : " is being rolled out",
                          waiting);
    }
    case scheduler::v1::ROLLOUT_PHASE_SUCCEEDED:
      return absl::StrCat("release ", rollout.release(), " is live");
    case scheduler::v1::ROLLOUT_PHASE_FAILED:
      if (of_secrets) {
        return absl::StrCat(
            "release ", rollout.release(),
            " serves with the secrets of before; with the new ones: ", rollout.reason());
      }
      return absl::StrCat("release ", rollout.release(), " failed: ", rollout.reason());
    default:
      return "nothing to roll out";
  }
}

// Why the instance is not as it should be; empty: it says nothing of itself, and edges reach it.
std::string ReasonOf(const Instance& instance, const GetEnvironmentStatusResponse& status) {
  const auto missed = status.not_reached_by().find(instance.id());
  if (!instance.observed().reason().empty() || missed == status.not_reached_by().end()) {
    return instance.observed().reason();
  }
  return absl::StrCat("not reached by ", EdgesText(missed->second.names()));
}

Table InstanceTable(const GetEnvironmentStatusResponse& status, absl::Time now) {
  Table table = {{"INSTANCE", "PROCESS", "RELEASE", "HOST", "STATE", "ADDRESS", "AGE", "REASON"},
                 {}};
  for (const Instance& instance : status.instances()) {
    const std::vector<std::string> endpoints = Endpoints(instance);
    table.rows.push_back(
        {instance.id(), instance.process_type(), absl::StrCat(instance.release()), instance.host(),
         StateText(instance),
         endpoints.empty() ? Ipv6Text(instance.address()) : absl::StrJoin(endpoints, " "),
         AgeText(instance.observed().start_time(), now), ReasonOf(instance, status)});
  }
  return table;
}

bool IsAsItShouldBe(const config::v1::Environment& environment,
                    const GetEnvironmentStatusResponse& status) {
  return environment.rollout() == config::v1::ROLLOUT_STATE_SUCCEEDED &&
         status.unplaced().empty() && status.not_reached_by().empty() &&
         std::all_of(status.instances().begin(), status.instances().end(),
                     [](const Instance& instance) {
                       return instance.intent() == scheduler::v1::INTENT_RUN &&
                              instance.observed().phase() == scheduler::v1::PHASE_READY;
                     });
}

std::string StatusText(const config::v1::Environment& environment,
                       const GetEnvironmentStatusResponse& status, absl::Time now) {
  std::string text =
      absl::StrCat(berth::ToString(environment.name()), "\n  release  ",
                   environment.desired().number(), "  ", ShortImage(environment.desired().image()),
                   "\n  rollout  ", Printable(RolloutText(status.rollout())), "\n");
  if (environment.rollout() == config::v1::ROLLOUT_STATE_FAILED) {
    absl::StrAppend(&text, "  failed   the last try: ", Printable(environment.rollout_reason()),
                    "\n");
  }
  absl::StrAppend(&text, "  wanted   ", CountsText(status.replicas()), "\n");
  const std::map<std::string, std::string> unplaced(status.unplaced().begin(),
                                                    status.unplaced().end());
  for (const auto& [process, why] : unplaced) {
    absl::StrAppend(&text, "  waiting  ", process, ": ", Printable(why), "\n");
  }
  absl::StrAppend(
      &text, "\n",
      status.instances().empty() ? "No instance runs.\n" : RenderTable(InstanceTable(status, now)));
  if (IsAsItShouldBe(environment, status)) return text;
  return absl::StrCat(text, "\nNot all is as it should be. Why: berth why --app ",
                      environment.name().app(), " --env ", environment.name().env(), "\n");
}

absl::StatusOr<ExitCode> RunStatus(const std::string& reference, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const auto name, session->Environment(reference));
  config::v1::GetEnvironmentRequest environment_request;
  *environment_request.mutable_environment() = name;
  BERTH_ASSIGN_OR_RETURN(const auto environment,
                         session->Call<config::v1::GetEnvironmentResponse>(environment_request));
  scheduler::v1::GetEnvironmentStatusRequest status_request;
  *status_request.mutable_environment() = name;
  absl::StatusOr<GetEnvironmentStatusResponse> status =
      session->Call<GetEnvironmentStatusResponse>(status_request);
  // What config has just learnt of is not yet news to the scheduler.
  if (absl::IsNotFound(status.status())) status = GetEnvironmentStatusResponse();
  if (!status.ok()) return status.status();
  Json object = ToJson(*status);
  object["environment"] = ToJson(environment.environment());
  session->output().Object("EnvironmentStatus", object,
                           StatusText(environment.environment(), *status, SystemClock().Now()));
  return ExitCode::kSuccess;
}

}  // namespace

Command StatusCommand() {
  const auto reference = std::make_shared<std::string>();
  return {.name = "status",
          .summary = "Show an environment's release, rollout and instances",
          .example = "berth status notes/staging",
          .declare =
              [reference](Arguments* arguments) {
                arguments->Positional("APP[/ENV]", reference.get(),
                                      "the environment; default: that of ./berth.yaml");
              },
          .run = [reference](Session* session) { return RunStatus(*reference, session); }};
}

}  // namespace berth::cli
