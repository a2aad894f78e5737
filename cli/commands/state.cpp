#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "cli/environment_state.h"
#include "cli/errors.h"
#include "cli/moment.h"
#include "cli/session.h"
#include "cli/state_diff.h"
#include "cli/state_text.h"
#include "cli/wording.h"
#include "common/ids/names.h"

namespace berth::cli {
namespace {

struct StateOptions {
  std::string reference;
  std::string at;
};

struct DiffOptions {
  std::string before;
  std::string after;
  std::string reference;
};

absl::StatusOr<ExitCode> RunState(const StateOptions& options, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const auto name, session->Environment(options.reference));
  BERTH_ASSIGN_OR_RETURN(const std::optional<PastMoment> at,
                         FindMoment(options.at, name.org(), session));
  BERTH_ASSIGN_OR_RETURN(const EnvironmentState state,
                         ReadState(name, at, WithInstances::kYes, session));
  if (!state.environment.has_value()) {
    return WithAction(
        absl::NotFoundError(absl::StrCat(MomentText(at), ": there is no ", berth::ToString(name))),
        absl::StrCat("see what came when with `berth events --resource ", name.app(), "/",
                     name.env(), "`"));
  }
  session->output().Object("EnvironmentState", EnvironmentJson(state), EnvironmentText(state));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunDiff(const DiffOptions& options, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const auto name, session->Environment(options.reference));
  std::vector<EnvironmentState> states;
  for (const std::string& text : {options.before, options.after}) {
    BERTH_ASSIGN_OR_RETURN(const std::optional<PastMoment> at,
                           FindMoment(text, name.org(), session));
    BERTH_ASSIGN_OR_RETURN(states.emplace_back(), ReadState(name, at, WithInstances::kNo, session));
  }
  const EnvironmentState& before = states.front();
  const EnvironmentState& after = states.back();
  Json items = Json::array();
  Table table = {{"WHAT", MomentText(before.at), MomentText(after.at)}, {}};
  for (const Difference& each : DiffStates(before, after)) {
    items.push_back({{"what", each.what}, {"before", each.before}, {"after", each.after}});
    table.rows.push_back({each.what, ShortImage(each.before), ShortImage(each.after)});
  }
  session->output().List("StateDifferenceList", items, table,
                         absl::StrCat(berth::ToString(name), " is the same at ",
                                      MomentText(before.at), " and ", MomentText(after.at), "."));
  return ExitCode::kSuccess;
}

}  // namespace

Command StateCommand() {
  const auto options = std::make_shared<StateOptions>();
  return {.name = "state",
          .summary = "Show what an environment is, or was at a moment of the past",
          .example = "berth state notes/staging --at 2h",
          .declare =
              [options](Arguments* arguments) {
                arguments->Positional("APP[/ENV]", &options->reference,
                                      "the environment; default: that of ./berth.yaml");
                arguments->Option("--at", &options->at, kMomentPlaceholder,
                                  "when: so long ago, a time in UTC, right after a record; "
                                  "default: now");
              },
          .run = [options](Session* session) { return RunState(*options, session); }};
}

Command StateDiffCommand() {
  const auto options = std::make_shared<DiffOptions>();
  return {.name = "state diff",
          .summary = "Show what tells two moments of an environment apart",
          .example = "berth state diff 2h now notes/staging",
          .declare =
              [options](Arguments* arguments) {
                arguments->RequiredPositional("A", &options->before,
                                              "a moment: so long ago (2h), a time in UTC, or "
                                              "right after a record (config/42)");
                arguments->RequiredPositional("B", &options->after, "another one, or now");
                arguments->Positional("APP[/ENV]", &options->reference,
                                      "the environment; default: that of ./berth.yaml");
              },
          .run = [options](Session* session) { return RunDiff(*options, session); }};
}

}  // namespace berth::cli
