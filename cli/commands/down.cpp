#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/runtime/program.h"
#include "cli/commands/commands.h"
#include "cli/confirm.h"
#include "cli/errors.h"
#include "cli/platform_folder.h"
#include "cli/session.h"
#include "cli/wording.h"

namespace berth::cli {
namespace {

constexpr absl::Duration kStopGrace = absl::Seconds(15);
// Every instance is asked to end and gets its grace time.
constexpr absl::Duration kPurgeMax = absl::Minutes(5);

struct DownOptions {
  std::string state;
  bool purge = false;
  bool yes = false;
};

// What became of a daemon, in a word.
absl::StatusOr<std::string> Stop(const DaemonProcess& daemon) {
  const std::optional<RunningProcess> process = FindDaemon(daemon);
  if (!process) return std::string("not running");
  BERTH_ASSIGN_OR_RETURN(const StopOutcome outcome, StopDaemon(daemon, *process, kStopGrace));
  return std::string(outcome == StopOutcome::kStopped ? "stopped" : "killed");
}

// The agent knows what it made on this machine, and takes it away.
absl::Status RemoveInstances(DaemonProcess agent) {
  agent.arguments.push_back("--purge");
  BERTH_ASSIGN_OR_RETURN(const ProgramResult result,
                         RunProgram(agent.arguments, {.timeout = kPurgeMax}));
  if (result.exit_code == 0) return absl::OkStatus();
  return WithAction(
      absl::FailedPreconditionError(absl::StrCat("the instances could not be removed: ",
                                                 absl::StripAsciiWhitespace(result.output))),
      "mend what it says and run `berth down --purge` again");
}

// The context only where it is this platform's: there may be another one of that name.
absl::Status ForgetContext(const LocalPlatform& platform) {
  BERTH_ASSIGN_OR_RETURN(PersonalFiles files, LoadPersonalFiles(ProcessEnvironment));
  const auto context = files.config.contexts.find(kLocalContext);
  if (context == files.config.contexts.end() || context->second.ca_file != platform.ca_file()) {
    return absl::OkStatus();
  }
  files.config.contexts.erase(context);
  files.credentials.erase(kLocalContext);
  if (files.config.current == kLocalContext) files.config.current.clear();
  return SavePersonalFiles(ProcessEnvironment, files);
}

absl::StatusOr<ExitCode> RunDown(const DownOptions& options, Session* session) {
  BERTH_ASSIGN_OR_RETURN(PlatformFolder folder, PlatformFolder::Open(options.state));
  const LocalPlatform& platform = folder.platform();
  if (options.purge) {
    BERTH_RETURN_IF_ERROR(Confirm(absl::StrCat("Remove every instance of this machine and all "
                                               "that is in ",
                                               platform.folder, "?"),
                                  "yes", options.yes));
  }
  BERTH_ASSIGN_OR_RETURN(const DaemonProcess agent_daemon, platform.agent());
  BERTH_ASSIGN_OR_RETURN(const DaemonProcess server_daemon, platform.server());
  BERTH_ASSIGN_OR_RETURN(const DaemonProcess edge_daemon, platform.edge());
  // The server last: the others may still have something to report.
  BERTH_ASSIGN_OR_RETURN(const std::string edge, Stop(edge_daemon));
  BERTH_ASSIGN_OR_RETURN(const std::string agent, Stop(agent_daemon));
  BERTH_ASSIGN_OR_RETURN(const std::string server, Stop(server_daemon));
  std::string text =
      absl::StrCat("edge    ", edge, "\nagent   ", agent, "\nserver  ", server, "\n");
  if (options.purge) {
    session->output().Say("removing instances");
    if (std::filesystem::exists(platform.agent_settings())) {
      BERTH_RETURN_IF_ERROR(RemoveInstances(agent_daemon));
    }
    BERTH_RETURN_IF_ERROR(ForgetContext(platform));
    BERTH_RETURN_IF_ERROR(folder.Remove());
    absl::StrAppend(&text, "Every instance and ", platform.folder, " are removed.\n");
  } else {
    absl::StrAppend(&text, "Instances keep running. `berth up` takes over again.\n");
  }
  session->output().Object("Down",
                           {{"folder", platform.folder},
                            {"edge", edge},
                            {"agent", agent},
                            {"server", server},
                            {"purged", options.purge}},
                           text);
  return ExitCode::kSuccess;
}

}  // namespace

Command DownCommand() {
  const auto options = std::make_shared<DownOptions>();
  return {.name = "down",
          .summary = "Stop Berth on this machine; instances keep running",
          .example = "berth down",
          .declare =
              [options](Arguments* arguments) {
                arguments->Option("--state", &options->state, "FOLDER",
                                  "where everything is; default: /var/lib/berth for root");
                arguments->Flag("--purge", &options->purge,
                                "also remove every instance and the folder");
                arguments->Flag("--yes", &options->yes, "do not ask before --purge");
              },
          .run = [options](Session* session) { return RunDown(*options, session); }};
}

}  // namespace berth::cli
