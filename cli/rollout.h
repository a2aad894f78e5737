#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/types/v1/types.pb.h"
#include "cli/command.h"
#include "cli/environment_view.h"
#include "cli/json.h"
#include "cli/session.h"

namespace berth::cli {

// Whether and how long a command waits for what it began.
struct WaitOptions {
  bool no_wait = false;
  absl::Duration timeout = absl::Minutes(30);

  void Declare(Arguments* arguments);
};

// What was promoted.
struct Promotion {
  types::v1::EnvironmentName environment;
  uint64_t release = 0;  // 0: none, so that everything is taken away.
  uint64_t number = 0;
};

// Shows the promotion's rollout while it runs, until it has succeeded, and prints the result as
// `kind` with the fields of `answer`.
//
// kAborted with reason ROLLOUT_FAILED: the rollout failed; the message says why, with what the
// failed instance printed, and what serves now. kAborted: a newer promotion took its place.
// kDeadlineExceeded, kCancelled (Ctrl-C): it goes on without anybody waiting.
absl::StatusOr<ExitCode> FollowRollout(const Promotion& promotion, const WaitOptions& options,
                                       const std::string& kind, const Json& answer,
                                       Session* session);

// What came of a rollout that succeeded: for programs, and for people.
struct RolloutResult {
  Json fields;
  std::string text;
};

// The same without printing the result; errors as FollowRollout's.
absl::StatusOr<RolloutResult> AwaitRollout(const Promotion& promotion, absl::Duration timeout,
                                           Session* session);

// What a failed rollout looks like to a person. `serving` is the release that is current now; 0:
// none.
std::string RolloutFailure(const Promotion& promotion, const scheduler::v1::Rollout& rollout,
                           uint64_t serving);

// The last line of a successful one, and a line for each instance that can be reached.
std::string RolloutSuccess(const Promotion& promotion, const EnvironmentView& view,
                           absl::Duration elapsed);

}  // namespace berth::cli
