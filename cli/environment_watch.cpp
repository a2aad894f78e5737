#include "cli/environment_watch.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/rpc/subscription.h"

namespace berth::cli {
namespace {

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

}  // namespace

EnvironmentWatch::EnvironmentWatch(types::v1::EnvironmentName environment, const std::string& title,
                                   std::shared_ptr<rpc::Channel> channel, const Output& output)
    : environment_(std::move(environment)),
      channel_(std::move(channel)),
      start_(clock_.Monotonic()),
      redraw_(StyleFor(output) == Progress::Style::kRedraw),
      progress_(StyleFor(output), title, stderr) {}

absl::Status EnvironmentWatch::Wait(absl::Duration timeout,
                                    std::function<bool(const EnvironmentView&)> is_over) {
  is_over_ = std::move(is_over);
  rpc::Subscription subscription(
      "environment",
      [this](const std::optional<watch::v1::Revision>& resume,
             std::function<void(const WatchResponse&)> received,
             std::function<void(absl::Status)> ended) {
        WatchEnvironmentRequest request;
        *request.mutable_environment() = environment_;
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
  return broken_;
}

void EnvironmentWatch::Take(const WatchClient::Entries& entries) {
  absl::StatusOr<EnvironmentView> view = ViewOf(entries);
  if (!view.ok()) return Stop(view.status());
  view_ = *std::move(view);
  progress_.Show(view_, elapsed());
  if (is_over_(view_)) foreground_.Stop();
}

void EnvironmentWatch::Stop(const absl::Status& why) {
  broken_ = why;
  foreground_.Stop();
}

void EnvironmentWatch::RedrawLater() {
  foreground_.PostAfter(kRedrawEvery, [this] {
    progress_.Show(view_, elapsed());
    RedrawLater();
  });
}

}  // namespace berth::cli
