#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "berth/eventlog/v1/log.pb.h"
#include "cli/archive_program.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/foreground.h"
#include "cli/local_platform.h"
#include "cli/log_verification.h"
#include "cli/platform_folder.h"
#include "cli/session.h"
#include "cli/streams.h"
#include "common/crypto/hash.h"
#include "common/files/atomic_file.h"

namespace berth::cli {
namespace {

using eventlog::v1::VerifyLogRequest;
using eventlog::v1::VerifyLogResponse;

constexpr mode_t kSettingsMode = 0600;

// Told to a person who waits, on one line that is drawn anew.
class VerificationProgress {
 public:
  VerificationProgress(const Output& output, std::string service)
      : shown_(IsTerminal(stderr) && !output.quiet() && !output.json()),
        service_(std::move(service)) {}
  ~VerificationProgress() {
    if (shown_) std::fputs("\r\x1b[K", stderr);
  }

  void Show(const VerifyLogResponse& news) const {
    if (!shown_) return;
    std::fprintf(stderr, "\r\x1b[K%s: %llu of %llu records", service_.c_str(),
                 static_cast<unsigned long long>(news.position()),
                 static_cast<unsigned long long>(news.end()));
    std::fflush(stderr);
  }

 private:
  const bool shown_;
  const std::string service_;
};

// Has the service verify its log. An error that says nothing of the log is the result.
absl::StatusOr<LogVerification> VerifyService(const std::string& service, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::Channel> channel, session->channel());
  const VerificationProgress progress(session->output(), service);
  Foreground foreground;
  absl::Mutex mutex;
  VerifyLogResponse newest;
  absl::Status over;
  VerifyLogRequest request;
  request.set_stream(service);
  std::unique_ptr<rpc::ClientStream> stream = channel->Open<VerifyLogResponse>(
      request,
      [&](const VerifyLogResponse& news) {
        absl::MutexLock lock(&mutex);
        newest = news;
        progress.Show(news);
      },
      [&](absl::Status status) {
        foreground.Post([&, status = std::move(status)] {
          over = status;
          foreground.Stop();
        });
      });
  const Foreground::Outcome outcome = foreground.Run(absl::InfiniteDuration());
  // Its callbacks post to the foreground, which goes first otherwise.
  stream.reset();
  if (outcome == Foreground::Outcome::kInterrupted) return absl::CancelledError("interrupted");
  if (!over.ok() && !absl::IsDataLoss(over)) return over;
  if (over.ok() && !newest.complete()) {
    return absl::UnavailableError(
        absl::StrCat(service, " ended the verification before it was over; try again"));
  }
  return LogVerification{service,
                         over,
                         newest.cut_position(),
                         newest.position(),
                         newest.hash(),
                         newest.snapshot_position(),
                         true};
}

absl::StatusOr<ExitCode> VerifyServed(Session* session) {
  std::vector<LogVerification> verifications;
  for (const char* service : kStreams) {
    BERTH_ASSIGN_OR_RETURN(LogVerification verification, VerifyService(service, session));
    verifications.push_back(std::move(verification));
  }
  return Show(verifications, session->output());
}

// Which server of this machine is meant.
struct LocalServer {
  std::string state;
  std::string settings;

  void Declare(Arguments* arguments) {
    arguments->Option("--state", &state, "FOLDER",
                      "where `berth up` keeps everything; default: /var/lib/berth for root");
    arguments->Option("--settings", &settings, "FILE",
                      "the settings that berth-server is started with, if not by `berth up`");
  }
};

absl::StatusOr<std::string> SettingsOf(const LocalServer& server) {
  if (!server.settings.empty()) return server.settings;
  BERTH_ASSIGN_OR_RETURN(const PlatformFolder folder, PlatformFolder::Open(server.state));
  return folder.platform().server_settings();
}

absl::StatusOr<ExitCode> VerifyLocal(const LocalServer& server, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const std::string settings, SettingsOf(server));
  BERTH_ASSIGN_OR_RETURN(const Json found, RunArchiveProgram({"verify", "--settings", settings}));
  std::vector<LogVerification> verifications;
  for (const Json& log : found.value("logs", Json::array())) {
    LogVerification& verification = verifications.emplace_back();
    verification.service = log.value("service", "");
    const std::string fault = log.value("found", "");
    if (!fault.empty()) verification.found = absl::DataLossError(fault);
    verification.cut_position = log.value("cutPosition", uint64_t{0});
    verification.position = log.value("position", uint64_t{0});
    verification.hash = HexDecode(log.value("hash", "")).value_or("");
    verification.snapshot_position = log.value("snapshotPosition", uint64_t{0});
  }
  return Show(verifications, session->output());
}

struct VerifyOptions {
  bool local = false;
  LocalServer server;
};

absl::StatusOr<ExitCode> RunVerify(const VerifyOptions& options, Session* session) {
  if (options.local) return VerifyLocal(options.server, session);
  if (!options.server.state.empty() || !options.server.settings.empty()) {
    return UsageError("--state and --settings say which server of this machine: add --local");
  }
  return VerifyServed(session);
}

struct ArchiveOptions {
  std::string file;
  LocalServer server;
};

// A line for each log that is in a backup.
std::string LogLines(const Json& described) {
  std::string lines;
  for (const Json& log : described.value("logs", Json::array())) {
    absl::StrAppend(&lines, "  ", log.value("service", ""), " up to record ",
                    log.value("position", ""), "\n");
  }
  return lines;
}

absl::StatusOr<ExitCode> RunBackup(const ArchiveOptions& options, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const std::string settings, SettingsOf(options.server));
  BERTH_ASSIGN_OR_RETURN(Json described,
                         RunArchiveProgram({"backup", options.file, "--settings", settings}));
  described["file"] = options.file;
  session->output().Object(
      "Backup", described,
      absl::StrCat("Backed up ", described.value("folder", ""), " to ", options.file, ":\n",
                   LogLines(described),
                   "It has the keys to everything, secrets included: only its owner may read it "
                   "(mode 0600). Keep it so, or encrypt it, such as with: age -p ",
                   options.file, "\n"));
  return ExitCode::kSuccess;
}

// Where there is none yet, the settings are those that `berth up` would make.
absl::StatusOr<std::string> SettingsToRestoreTo(const LocalServer& server) {
  if (!server.settings.empty()) return server.settings;
  BERTH_ASSIGN_OR_RETURN(const PlatformFolder folder, PlatformFolder::Make(server.state));
  const LocalPlatform& platform = folder.platform();
  if (access(platform.server_settings().c_str(), F_OK) != 0) {
    BERTH_RETURN_IF_ERROR(WriteFileAtomically(
        platform.server_settings(), ServerSettings(platform, kListenDefault), kSettingsMode));
  }
  return platform.server_settings();
}

absl::StatusOr<ExitCode> RunRestore(const ArchiveOptions& options, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const std::string settings, SettingsToRestoreTo(options.server));
  BERTH_ASSIGN_OR_RETURN(Json described,
                         RunArchiveProgram({"restore", options.file, "--settings", settings}));
  described["file"] = options.file;
  const std::string start = options.server.settings.empty()
                                ? "berth up"
                                : absl::StrCat("berth-server --settings ", settings);
  session->output().Object(
      "Restore", described,
      absl::StrCat("Restored ", described.value("folder", ""), ", as of ",
                   described.value("time", ""), ", and verified it:\n", LogLines(described),
                   "Agents, edges and services that have seen more are told that history has "
                   "changed. See to it that no other server of this platform runs, then start it: ",
                   start, "\n"));
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> ServerCommands() {
  const auto verify = std::make_shared<VerifyOptions>();
  const auto backup = std::make_shared<ArchiveOptions>();
  const auto restore = std::make_shared<ArchiveOptions>();
  return {{.name = "server verify",
           .summary = "Verify every service's log: that it is whole, and gives what is served",
           .example = "berth server verify",
           .declare =
               [verify](Arguments* arguments) {
                 arguments->Flag(
                     "--local", &verify->local,
                     "read this machine's logs, whether the server runs or not, instead of "
                     "asking the services");
                 verify->server.Declare(arguments);
               },
           .run = [verify](Session* session) { return RunVerify(*verify, session); }},
          {.name = "server backup",
           .summary = "Back up the server of this machine, while it runs, to one file",
           .example = "berth server backup /root/berth.backup",
           .declare =
               [backup](Arguments* arguments) {
                 arguments->RequiredPositional("FILE", &backup->file, "a new file");
                 backup->server.Declare(arguments);
               },
           .run = [backup](Session* session) { return RunBackup(*backup, session); }},
          {.name = "server restore",
           .summary = "Restore a backup, verified, to where no server is",
           .example = "berth server restore /root/berth.backup --state /var/lib/berth",
           .declare =
               [restore](Arguments* arguments) {
                 arguments->RequiredPositional("FILE", &restore->file,
                                               "what `berth server backup` made");
                 restore->server.Declare(arguments);
               },
           .run = [restore](Session* session) { return RunRestore(*restore, session); }}};
}

}  // namespace berth::cli
