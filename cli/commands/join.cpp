#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "cli/await_daemon.h"
#include "cli/commands/commands.h"
#include "cli/local_platform.h"
#include "cli/platform_folder.h"
#include "cli/session.h"
#include "common/files/atomic_file.h"
#include "common/net/socket_address.h"
#include "common/rpc/membership.h"
#include "common/rpc/token.h"

namespace berth::cli {
namespace {

constexpr absl::Duration kJoinMax = absl::Seconds(30);
constexpr size_t kTokenBytesMax = 4096;
constexpr mode_t kSecretMode = 0600;
constexpr char kHttpOff[] = "off";

struct JoinOptions {
  std::string state;
  std::string server;
  std::string token;
  std::string token_file;
  std::string containers_conf;
  std::string http;
};

// The daemon that joins: an agent or an edge of a server elsewhere.
struct Joining {
  std::string noun;  // host or edge.
  DaemonProcess daemon;
  std::string settings_file;
  std::string settings;
  std::string state;
};

absl::StatusOr<Joining> JoiningHost(const LocalPlatform& platform, const JoinOptions& options) {
  Joining joining;
  joining.noun = "host";
  BERTH_ASSIGN_OR_RETURN(joining.daemon, platform.agent());
  joining.settings_file = platform.agent_settings();
  const std::string containers_conf =
      options.containers_conf.empty() ? ""
                                      : std::filesystem::absolute(options.containers_conf).string();
  joining.settings = JoiningAgentSettings(platform, options.server, containers_conf);
  joining.state = platform.agent_state();
  return joining;
}

absl::StatusOr<Joining> JoiningEdge(const LocalPlatform& platform, const JoinOptions& options) {
  Joining joining;
  joining.noun = "edge";
  BERTH_ASSIGN_OR_RETURN(joining.daemon, platform.edge());
  joining.settings_file = platform.edge_settings();
  joining.settings = JoiningEdgeSettings(platform, options.server);
  joining.state = platform.edge_state();
  return joining;
}

absl::StatusOr<std::string> TokenOf(const JoinOptions& options) {
  std::string token = options.token;
  if (!options.token_file.empty()) {
    BERTH_ASSIGN_OR_RETURN(token, ReadFile(options.token_file, kTokenBytesMax));
    token = std::string(absl::StripAsciiWhitespace(token));
  }
  if (!rpc::ParseOneTimeToken(rpc::kJoinPurpose, token).has_value()) {
    return WithAction(UsageError("--token is no join token"),
                      "an admin of the org makes one with `berth host add` or `berth edge add`");
  }
  return token;
}

// Puts down what the daemon needs to join. Only what is new here is written.
absl::Status WriteSettings(const Joining& joining, const JoinOptions& options) {
  BERTH_RETURN_IF_ERROR(ParseHostPorts(options.server).status());
  std::string settings = joining.settings;
  if (!options.http.empty()) {
    if (options.http != kHttpOff) BERTH_RETURN_IF_ERROR(ParseHostPort(options.http).status());
    absl::StrAppend(&settings, "http: \"", options.http, "\"\n");
  }
  BERTH_ASSIGN_OR_RETURN(const std::string token, TokenOf(options));
  if (mkdir(joining.state.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make the folder ", joining.state, ": ", std::strerror(errno)));
  }
  BERTH_RETURN_IF_ERROR(WriteFileAtomically(LocalPlatform::JoinToken(joining.state),
                                            absl::StrCat(token, "\n"), kSecretMode));
  return WriteFileAtomically(joining.settings_file, settings, kSecretMode);
}

absl::StatusOr<ExitCode> RunJoin(absl::StatusOr<Joining> (*joining_of)(const LocalPlatform&,
                                                                       const JoinOptions&),
                                 const JoinOptions& options, Session* session) {
  BERTH_ASSIGN_OR_RETURN(PlatformFolder folder, PlatformFolder::Make(options.state));
  BERTH_ASSIGN_OR_RETURN(const Joining joining, joining_of(folder.platform(), options));
  absl::StatusOr<auth::v1::EnrolResponse> member = rpc::LoadMembership(joining.state);
  if (absl::IsNotFound(member.status())) {
    if (options.server.empty()) return UsageError("which server? say so with --server");
    BERTH_RETURN_IF_ERROR(WriteSettings(joining, options));
  } else if (!member.ok()) {
    return member.status();
  } else if (!options.token.empty() || !options.token_file.empty()) {
    return WithAction(
        absl::AlreadyExistsError(absl::StrCat("this machine is the ", joining.noun, " ",
                                              member->machine().name(), " already")),
        absl::StrCat("start it with `berth ", joining.noun,
                     " join`; to join anew, `berth down --purge` first"));
  }
  std::optional<RunningProcess> process = FindDaemon(joining.daemon);
  const bool started = !process.has_value();
  if (started) {
    session->output().Say(absl::StrCat("starting ", joining.daemon.arguments.front()));
    BERTH_ASSIGN_OR_RETURN(process, StartDaemon(joining.daemon));
  }
  BERTH_RETURN_IF_ERROR(AwaitDaemon(joining.daemon, *process, kJoinMax, [&]() -> absl::Status {
    member = rpc::LoadMembership(joining.state);
    return member.status();
  }));
  const std::string& name = member->machine().name();
  const bool unknown = member->machine().status() == auth::v1::MACHINE_STATUS_UNKNOWN;
  session->output().Object(
      "Joined",
      {{"kind", joining.noun},
       {"name", name},
       {"org", member->machine().org()},
       {"pid", process->pid},
       {"started", started},
       {"unknown", unknown}},
      absl::StrCat("This machine is the ", joining.noun, " ", name, " of ", member->machine().org(),
                   "; pid ", process->pid, ".\n",
                   unknown ? absl::StrCat("Its keys are new: `berth ", joining.noun, " approve ",
                                          name, "` makes it a member again.\n")
                           : ""));
  return ExitCode::kSuccess;
}

void Declare(const std::shared_ptr<JoinOptions>& options, Arguments* arguments) {
  arguments->Option("--server", &options->server, "HOST:PORT",
                    "where the server is reached; its copies with commas between them");
  arguments->Option("--token", &options->token, "TOKEN", "the join token");
  arguments->Option("--token-file", &options->token_file, "FILE", "a file with the join token");
  arguments->Option("--http", &options->http, "HOST:PORT",
                    "where it serves its metrics; port 0: any; off: nowhere");
  arguments->Option("--state", &options->state, "FOLDER",
                    "keep everything there; default: /var/lib/berth for root");
}

}  // namespace

std::vector<Command> JoinCommands() {
  const auto options = std::make_shared<JoinOptions>();
  return {{.name = "host join",
           .summary = "Make this machine a host of a server elsewhere, or start it as such again",
           .example = "berth host join --server berth.example.com:7443 --token-file join-token",
           .declare =
               [options](Arguments* arguments) {
                 Declare(options, arguments);
                 arguments->Option("--containers-conf", &options->containers_conf, "FILE",
                                   "a containers.conf for Podman");
               },
           .run = [options](Session* session) { return RunJoin(JoiningHost, *options, session); }},
          {.name = "edge join",
           .summary = "Make this machine an edge of a server elsewhere, or start it as such again",
           .example = "berth edge join --server berth.example.com:7443 --token-file join-token",
           .declare = [options](Arguments* arguments) { Declare(options, arguments); },
           .run = [options](Session* session) { return RunJoin(JoiningEdge, *options, session); }}};
}

}  // namespace berth::cli
