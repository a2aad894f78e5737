#include "cli/rollout.h"

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "berth/config/v1/config.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/environment_watch.h"
#include "cli/errors.h"
#include "cli/wording.h"
#include "common/ids/names.h"
#include "common/status/error_details.h"

namespace berth::cli {
namespace {

using scheduler::v1::Instance;
std::string TitleOf(const Promotion& promotion) {
  return absl::StrCat(berth::ToString(promotion.environment),
                      promotion.release == 0 ? std::string(" is taken away")
                                             : absl::StrCat(" release ", promotion.release));
}

std::string HowToLook(const Promotion& promotion) {
  if (promotion.release == 0) {
    return absl::StrCat("it is still being taken away; look with `berth status ",
                        promotion.environment.app(), "/", promotion.environment.env(), "`");
  }
  return absl::StrCat("release ", promotion.release,
                      " is still being rolled out; look with `berth status ",
                      promotion.environment.app(), "/", promotion.environment.env(), "`");
}

absl::Status RolloutError(absl::string_view message, const Promotion& promotion) {
  return WithAction(
      WithReason(absl::AbortedError(message), kRolloutFailedReason),
      absl::StrCat("mend it and deploy again; `berth logs --app ", promotion.environment.app(),
                   " --env ", promotion.environment.env(), "` shows what instances print"));
}

// Why the promotion is not the newest one any more, as config remembers it.
absl::Status WhyReplaced(const Promotion& promotion, const EnvironmentView& view,
                         const config::v1::Environment& environment) {
  // The return after a failure is the very next promotion.
  if (environment.rollout() == config::v1::ROLLOUT_STATE_FAILED &&
      environment.promotion() == promotion.number + 1) {
    scheduler::v1::Rollout rollout;
    rollout.set_reason(environment.rollout_reason());
    return RolloutError(RolloutFailure(promotion, rollout, environment.current_release()),
                        promotion);
  }
  return absl::AbortedError(absl::StrCat("release ", promotion.release, " was replaced by release ",
                                         view.rollout->release(), " meanwhile"));
}

}  // namespace

void WaitOptions::Declare(Arguments* arguments) {
  arguments->Flag("--no-wait", &no_wait, "do not wait until it is live");
  arguments->Option("--timeout", &timeout, "TIME",
                    absl::StrCat("how long to wait; default: ", absl::FormatDuration(timeout)));
}

std::string RolloutFailure(const Promotion& promotion, const scheduler::v1::Rollout& rollout,
                           uint64_t serving) {
  std::string text = absl::StrCat("release ", promotion.release, " failed: ", rollout.reason());
  const scheduler::v1::InstanceReport& failed = rollout.failed_instance();
  if (!failed.instance().empty()) {
    absl::StrAppend(&text, "\n  ", failed.instance());
    if (failed.has_exit_code()) absl::StrAppend(&text, " exited with ", failed.exit_code());
    if (!failed.reason().empty()) absl::StrAppend(&text, ": ", failed.reason());
    for (const std::string& line : failed.log_tail()) absl::StrAppend(&text, "\n  | ", line);
  }
  if (serving == 0) {
    absl::StrAppend(&text, "\nno release serves");
  } else {
    absl::StrAppend(&text, "\nrelease ", serving, " still serves");
  }
  return text;
}

std::string RolloutSuccess(const Promotion& promotion, const EnvironmentView& view,
                           absl::Duration elapsed) {
  if (promotion.release == 0) {
    return absl::StrCat(berth::ToString(promotion.environment), " is gone after ",
                        ElapsedText(elapsed), "\n");
  }
  const Readiness readiness = ReadinessOf(view);
  std::string text = absl::StrCat("release ", promotion.release, " is live: ", readiness.ready, "/",
                                  readiness.total, " ready in ", ElapsedText(elapsed), "\n");
  for (const Instance& instance : view.instances) {
    if (!IsWanted(instance)) continue;
    const std::vector<std::string> endpoints = Endpoints(instance);
    if (endpoints.empty()) continue;
    absl::StrAppend(&text, "  ", instance.id(), "  ", absl::StrJoin(endpoints, " "), "\n");
  }
  return text;
}

absl::StatusOr<ExitCode> FollowRollout(const Promotion& promotion, const WaitOptions& options,
                                       const std::string& kind, const Json& answer,
                                       Session* session) {
  const Output& output = session->output();
  if (options.no_wait) {
    output.Object(kind, answer, absl::StrCat(HowToLook(promotion), "\n"));
    return ExitCode::kSuccess;
  }
  BERTH_ASSIGN_OR_RETURN(const RolloutResult rollout,
                         AwaitRollout(promotion, options.timeout, session));
  Json result = answer;
  result.update(rollout.fields);
  output.Object(kind, result, rollout.text);
  return ExitCode::kSuccess;
}

absl::StatusOr<RolloutResult> AwaitRollout(const Promotion& promotion, absl::Duration timeout,
                                           Session* session) {
  BERTH_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::Channel> channel, session->channel());
  EnvironmentWatch watch(promotion.environment, TitleOf(promotion), channel, session->output());
  std::optional<RolloutEnd> end;
  const absl::Status waited = watch.Wait(timeout, [&](const EnvironmentView& view) {
    end = EndOf(view, promotion.number);
    return end.has_value();
  });
  if (absl::IsCancelled(waited) || absl::IsDeadlineExceeded(waited)) {
    return WithAction(waited, HowToLook(promotion));
  }
  if (!waited.ok()) return waited;

  if (*end == RolloutEnd::kSucceeded) {
    RolloutResult result;
    result.fields["rollout"] = ToJson(*watch.view().rollout);
    result.fields["instances"] = Json::array();
    for (const Instance& instance : watch.view().instances) {
      result.fields["instances"].push_back(ToJson(instance));
    }
    result.text = RolloutSuccess(promotion, watch.view(), watch.elapsed());
    return result;
  }

  config::v1::GetEnvironmentRequest request;
  *request.mutable_environment() = promotion.environment;
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<config::v1::GetEnvironmentResponse>(request));
  const config::v1::Environment& environment = response.environment();
  if (*end == RolloutEnd::kReplaced) return WhyReplaced(promotion, watch.view(), environment);
  return RolloutError(
      RolloutFailure(promotion, *watch.view().rollout, environment.current_release()), promotion);
}

}  // namespace berth::cli
