#include "cli/rollout.h"

#include <functional>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "berth/config/v1/config.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/errors.h"
#include "cli/foreground.h"
#include "cli/progress.h"
#include "cli/wording.h"
#include "common/clock/system_clock.h"
#include "common/ids/names.h"
#include "common/ids/random_id_source.h"
#include "common/rpc/subscription.h"
#include "common/status/error_details.h"

namespace berth::cli {
namespace {

using scheduler::v1::Instance;
using scheduler::v1::WatchEnvironmentRequest;
using watch::v1::WatchResponse;

// How often what is drawn is drawn again, for the time that passes.
constexpr absl::Duration kRedrawEvery = absl::Milliseconds(200);

// Errors that trying again will not mend.
bool IsPermanent(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

Progress::Style StyleFor(const Output& output) {
  if (output.json() || output.quiet()) return Progress::Style::kNone;
  return HasColour(stderr, output.colour_refused()) ? Progress::Style::kRedraw
                                                    : Progress::Style::kLines;
}

// Follows an environment's watch in the foreground until the promotion's rollout has ended.
class RolloutWatch {
 public:
  RolloutWatch(const Promotion& promotion, std::shared_ptr<rpc::Channel> channel,
               const Output& output)
      : promotion_(promotion),
        channel_(std::move(channel)),
        start_(clock_.Monotonic()),
        redraw_(StyleFor(output) == Progress::Style::kRedraw),
        progress_(
            StyleFor(output),
            absl::StrCat(berth::ToString(promotion.environment),
                         promotion.release == 0 ? std::string(" is taken away")
                                                : absl::StrCat(" release ", promotion.release)),
            stderr) {}

  // kCancelled and kDeadlineExceeded as FollowRollout.
  absl::StatusOr<RolloutEnd> Wait(absl::Duration timeout) {
    rpc::Subscription subscription(
        "environment",
        [this](const std::optional<watch::v1::Revision>& resume,
               std::function<void(const WatchResponse&)> received,
               std::function<void(absl::Status)> ended) {
          WatchEnvironmentRequest request;
          *request.mutable_environment() = promotion_.environment;
          if (resume) *request.mutable_resume() = *resume;
          return channel_->Open<WatchResponse>(request, std::move(received), std::move(ended));
        },
        WatchClient(), &foreground_, &ids_,
        [&](const WatchClient::Update& update) {
          if (update.revision) Take(subscription.client().entries());
        },
        [this](const absl::Status& status) {
          if (IsPermanent(status)) Stop(status);
        });
    subscription.Start();
    if (redraw_) RedrawLater();
    const Foreground::Outcome outcome = foreground_.Run(timeout);
    progress_.Finish();
    switch (outcome) {
      case Foreground::Outcome::kInterrupted:
        return absl::CancelledError("interrupted");
      case Foreground::Outcome::kTimedOut:
        return absl::DeadlineExceededError(
            absl::StrCat("not done after ", absl::FormatDuration(timeout)));
      case Foreground::Outcome::kStopped:
        break;
    }
    if (!broken_.ok()) return broken_;
    return *EndOf(view_, promotion_.number);
  }

  const EnvironmentView& view() const { return view_; }
  absl::Duration elapsed() const { return clock_.Monotonic() - start_; }

 private:
  void Take(const WatchClient::Entries& entries) {
    absl::StatusOr<EnvironmentView> view = ViewOf(entries);
    if (!view.ok()) return Stop(view.status());
    view_ = *std::move(view);
    progress_.Show(view_, elapsed());
    if (EndOf(view_, promotion_.number)) foreground_.Stop();
  }

  void Stop(const absl::Status& why) {
    broken_ = why;
    foreground_.Stop();
  }

  void RedrawLater() {
    foreground_.PostAfter(kRedrawEvery, [this] {
      progress_.Show(view_, elapsed());
      RedrawLater();
    });
  }

  const Promotion promotion_;
  const std::shared_ptr<rpc::Channel> channel_;
  const SystemClock clock_;
  const absl::Duration start_;
  const bool redraw_;
  RandomIdSource ids_;
  Foreground foreground_;
  Progress progress_;
  EnvironmentView view_;
  absl::Status broken_;
};

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
  BERTH_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::Channel> channel, session->channel());
  RolloutWatch watch(promotion, channel, output);
  const absl::StatusOr<RolloutEnd> end = watch.Wait(options.timeout);
  if (absl::IsCancelled(end.status()) || absl::IsDeadlineExceeded(end.status())) {
    return WithAction(end.status(), HowToLook(promotion));
  }
  if (!end.ok()) return end.status();

  if (*end == RolloutEnd::kSucceeded) {
    Json result = answer;
    result["rollout"] = ToJson(*watch.view().rollout);
    result["instances"] = Json::array();
    for (const Instance& instance : watch.view().instances) {
      result["instances"].push_back(ToJson(instance));
    }
    output.Object(kind, result, RolloutSuccess(promotion, watch.view(), watch.elapsed()));
    return ExitCode::kSuccess;
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
