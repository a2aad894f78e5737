#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/commands/commands.h"
#include "cli/environment_state.h"
#include "cli/errors.h"
#include "cli/moment.h"
#include "cli/rollout.h"
#include "cli/session.h"
#include "cli/undo_plan.h"
#include "common/ids/names.h"
#include "common/status/error_details.h"

namespace berth::cli {
namespace {

struct UndoOptions {
  std::string moment;
  std::string reference;
  bool dry_run = false;
  WaitOptions wait;
};

// Carries out a plan's commands, each as the command line of the same name does.
class Undoing {
 public:
  Undoing(const WaitOptions* wait, Session* session) : wait_(wait), session_(session) {}

  absl::Status operator()(const secrets::v1::ActivateSecretRequest& activate) {
    return session_->Call<secrets::v1::ActivateSecretResponse>(activate).status();
  }
  absl::Status operator()(const edge_router::v1::DeleteRouteRequest& remove) {
    const absl::Status removed =
        session_->Call<edge_router::v1::DeleteRouteResponse>(remove).status();
    // Somebody else was faster.
    return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
  }
  absl::Status operator()(const config::v1::RollbackRequest& rollback) {
    BERTH_ASSIGN_OR_RETURN(const auto response,
                           session_->Call<config::v1::RollbackResponse>(rollback));
    return Await({rollback.environment(), response.release(), response.promotion()});
  }
  absl::Status operator()(const edge_router::v1::CreateRouteRequest& create) {
    return session_->Call<edge_router::v1::CreateRouteResponse>(create).status();
  }

  absl::Status Await(const Promotion& promotion) {
    rolls_out_still_ = wait_->no_wait;
    if (wait_->no_wait) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(rollout_, AwaitRollout(promotion, wait_->timeout, session_));
    return absl::OkStatus();
  }

  // Of the rollout that was waited for; nullopt: there was none.
  const std::optional<RolloutResult>& rollout() const { return rollout_; }

  // Nobody waited for the one that was begun.
  bool rolls_out_still() const { return rolls_out_still_; }

 private:
  const WaitOptions* const wait_;
  Session* const session_;
  bool rolls_out_still_ = false;
  std::optional<RolloutResult> rollout_;
};

absl::StatusOr<KeptVersions> ReadKeptVersions(const EnvironmentState& then,
                                              const EnvironmentState& now, Session* session) {
  KeptVersions kept;
  for (const std::string& name : SecretsToRestore(then, now)) {
    secrets::v1::ListSecretVersionsRequest request;
    *request.mutable_environment() = now.name;
    request.set_name(name);
    const auto response = session->Call<secrets::v1::ListSecretVersionsResponse>(request);
    if (absl::IsNotFound(response.status())) continue;
    if (!response.ok()) return response.status();
    for (const secrets::v1::SecretVersion& version : response->versions()) {
      kept[name].insert(version.version());
    }
  }
  return kept;
}

Json PlanJson(const EnvironmentState& then, const UndoPlan& plan) {
  Json json = {{"environment", ToJson(then.name)},
               {"time", absl::FormatTime(absl::RFC3339_full, then.at->time, absl::UTCTimeZone())},
               {"commands", Json::array()},
               {"notRestorable", plan.not_restorable},
               {"remarks", plan.remarks}};
  for (const UndoStep& step : plan.steps) {
    json["commands"].push_back(CommandText(step));
  }
  return json;
}

// What is to be known beside the commands, in lines that begin with `prefix`.
std::string NotesText(const UndoPlan& plan, const std::string& prefix) {
  std::string text;
  for (const std::string& what : plan.not_restorable) {
    absl::StrAppend(&text, prefix, "cannot be restored: ", what, "\n");
  }
  for (const std::string& remark : plan.remarks) absl::StrAppend(&text, prefix, remark, "\n");
  return text;
}

// A shell could run it.
std::string DryRunText(const EnvironmentState& then, const UndoPlan& plan) {
  std::string text = absl::StrCat("# ", berth::ToString(then.name), " as it was at ",
                                  MomentText(then.at), "\n", NotesText(plan, "# "));
  for (const UndoStep& step : plan.steps) {
    absl::StrAppend(&text, CommandText(step), "\n");
  }
  if (plan.steps.empty()) absl::StrAppend(&text, "# nothing to do\n");
  return text;
}

// Every command is tried, so that one that cannot be does not keep the others.
absl::Status CarryOut(const EnvironmentState& then, const UndoPlan& plan, Undoing* undoing,
                      Session* session) {
  if (plan.promotion_under_way.has_value()) {
    BERTH_RETURN_IF_ERROR(undoing->Await(
        {then.name, then.environment->desired().number(), *plan.promotion_under_way}));
  }
  std::vector<std::string> failed;
  absl::Status first;
  for (const UndoStep& step : plan.steps) {
    session->output().Say(CommandText(step));
    const absl::Status done = std::visit(*undoing, step);
    if (absl::IsCancelled(done)) return done;
    if (done.ok()) continue;
    if (failed.empty()) first = done;
    failed.push_back(absl::StrCat("  ", CommandText(step), "\n    ", done.message()));
  }
  if (failed.empty()) return absl::OkStatus();
  const absl::Status status(
      first.code(), absl::StrCat(failed.size(), " of ", plan.steps.size(), " commands failed:\n",
                                 absl::StrJoin(failed, "\n")));
  const std::string reason = ReasonOf(first);
  return WithAction(reason.empty() ? status : WithReason(status, reason),
                    "mend that and repeat the undo: it goes on with what is missing");
}

bool ActivatesSecrets(const UndoPlan& plan) {
  return std::any_of(plan.steps.begin(), plan.steps.end(), [](const UndoStep& step) {
    return std::holds_alternative<secrets::v1::ActivateSecretRequest>(step);
  });
}

std::string HowToLook(const types::v1::EnvironmentName& name) {
  return absl::StrCat("look with `berth status ", name.app(), "/", name.env(), "`\n");
}

std::string ResultText(const EnvironmentState& then, const UndoPlan& plan) {
  return absl::StrCat(berth::ToString(then.name), " is", plan.steps.empty() ? " already" : "",
                      " what it was at ", MomentText(then.at),
                      plan.not_restorable.empty() ? "" : ", but for what cannot be restored", "\n");
}

absl::StatusOr<ExitCode> RunUndo(const UndoOptions& options, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const auto name, session->Environment(options.reference));
  BERTH_ASSIGN_OR_RETURN(const std::optional<PastMoment> at,
                         FindMoment(options.moment, name.org(), session));
  if (!at.has_value()) return UsageError("an undo goes back to a moment of the past");
  BERTH_ASSIGN_OR_RETURN(const EnvironmentState then,
                         ReadState(name, at, WithInstances::kNo, session));
  BERTH_ASSIGN_OR_RETURN(const EnvironmentState now,
                         ReadState(name, std::nullopt, WithInstances::kNo, session));
  BERTH_ASSIGN_OR_RETURN(const KeptVersions kept, ReadKeptVersions(then, now, session));
  BERTH_ASSIGN_OR_RETURN(const UndoPlan plan, PlanUndo(then, now, kept));
  const Output& output = session->output();
  Json result = PlanJson(then, plan);
  if (options.dry_run) {
    output.Object("UndoPlan", result, DryRunText(then, plan));
    return ExitCode::kSuccess;
  }

  Undoing undoing(&options.wait, session);
  BERTH_RETURN_IF_ERROR(CarryOut(then, plan, &undoing, session));
  std::string text;
  if (undoing.rollout().has_value()) {
    result.update(undoing.rollout()->fields);
    text = undoing.rollout()->text;
  }
  absl::StrAppend(&text, ResultText(then, plan), NotesText(plan, "  "));
  if (undoing.rolls_out_still()) {
    absl::StrAppend(&text, "release ", then.environment->desired().number(),
                    " is still being rolled out; ", HowToLook(name));
  } else if (ActivatesSecrets(plan) && !undoing.rollout().has_value()) {
    absl::StrAppend(&text, "instances that use the secrets are being replaced; ", HowToLook(name));
  }
  output.Object("Undo", result, text);
  return plan.not_restorable.empty() ? ExitCode::kSuccess : ExitCode::kFailure;
}

}  // namespace

Command UndoCommand() {
  const auto options = std::make_shared<UndoOptions>();
  return {.name = "undo",
          .summary = "Bring an environment back to a moment, with its secrets and routes",
          .example = "berth undo 2h notes/staging --dry-run",
          .declare =
              [options](Arguments* arguments) {
                arguments->RequiredPositional(
                    "MOMENT", &options->moment,
                    "when it was right: so long ago (2h), a time in UTC, or right after a record "
                    "(config/42)");
                arguments->Positional("APP[/ENV]", &options->reference,
                                      "the environment; default: that of ./berth.yaml");
                arguments->Flag("--dry-run", &options->dry_run,
                                "print the commands that it takes, and give none of them");
                options->wait.Declare(arguments);
              },
          .run = [options](Session* session) { return RunUndo(*options, session); }};
}

}  // namespace berth::cli
