#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/await_daemon.h"
#include "cli/commands/commands.h"
#include "cli/connect.h"
#include "cli/errors.h"
#include "cli/local_platform.h"
#include "cli/platform_folder.h"
#include "cli/session.h"
#include "cli/sign_in.h"
#include "cli/wording.h"
#include "common/files/atomic_file.h"

namespace berth::cli {
namespace {

constexpr absl::Duration kServerStartMax = absl::Seconds(30);
constexpr absl::Duration kJoinMax = absl::Seconds(30);
constexpr absl::Duration kAgentStartMax = absl::Seconds(60);
constexpr size_t kTokenBytesMax = 4096;
constexpr size_t kMembershipBytesMax = 64 * 1024;
constexpr size_t kSettingsFileBytesMax = 64 * 1024;
constexpr mode_t kSecretMode = 0600;

struct UpOptions {
  std::string state;
  std::string listen;
  std::string containers_conf;
};

// A daemon, as `berth up` found or made it.
struct UpDaemon {
  RunningProcess process;
  bool started = false;
};

Json ToJson(const UpDaemon& daemon) {
  return {{"pid", daemon.process.pid}, {"started", daemon.started}};
}

std::string Row(absl::string_view name, const UpDaemon& daemon, absl::string_view what) {
  return absl::StrCat(name, daemon.started ? "  started  " : "  running  ", "pid ",
                      daemon.process.pid, "  ", what, "\n");
}

// Brings the platform of one folder up, a part after the other; each one that is there already is
// left as it is.
class Up {
 public:
  Up(LocalPlatform platform, UpOptions options, const Output* output)
      : platform_(std::move(platform)), options_(std::move(options)), output_(output) {}

  absl::StatusOr<ExitCode> Run() {
    BERTH_RETURN_IF_ERROR(WriteSettings());
    BERTH_ASSIGN_OR_RETURN(const DaemonProcess server_daemon, platform_.server());
    BERTH_ASSIGN_OR_RETURN(const DaemonProcess agent_daemon, platform_.agent());
    BERTH_ASSIGN_OR_RETURN(const DaemonProcess edge_daemon, platform_.edge());
    BERTH_ASSIGN_OR_RETURN(const UpDaemon server, Ensure(server_daemon));
    BERTH_RETURN_IF_ERROR(AwaitServer(server_daemon, server.process));
    BERTH_RETURN_IF_ERROR(EnsureSignedIn());
    BERTH_ASSIGN_OR_RETURN(
        host_, EnsureMayJoin(auth::v1::MACHINE_KIND_HOST, "host", platform_.agent_state()));
    BERTH_ASSIGN_OR_RETURN(
        const std::string edge_name,
        EnsureMayJoin(auth::v1::MACHINE_KIND_EDGE, "edge", platform_.edge_state()));
    BERTH_ASSIGN_OR_RETURN(const UpDaemon agent, Ensure(agent_daemon));
    BERTH_ASSIGN_OR_RETURN(const UpDaemon edge, Ensure(edge_daemon));
    BERTH_RETURN_IF_ERROR(AwaitMember(edge_daemon, edge.process, platform_.edge_state()));
    BERTH_ASSIGN_OR_RETURN(const scheduler::v1::Host host, AwaitHost(agent_daemon, agent.process));
    Json result = {{"folder", platform_.folder}, {"server", ToJson(server)},
                   {"agent", ToJson(agent)},     {"edge", ToJson(edge)},
                   {"address", address_},        {"context", kLocalContext},
                   {"principal", principal_},    {"host", cli::ToJson(host)}};
    std::string text = absl::StrCat(
        Row("server", server, address_),
        Row("agent ", agent,
            absl::StrCat("host ", host.name(), ", ",
                         host.facts().problems().empty() ? "up" : "up, with problems")),
        Row("edge  ", edge, absl::StrCat("edge ", edge_name)));
    for (const std::string& problem : host.facts().problems()) {
      absl::StrAppend(&text, "  problem: ", Printable(problem), "\n");
    }
    absl::StrAppend(&text, "You are ", principal_, " in the context ", kLocalContext,
                    ". Deploy a folder with a berth.yaml: berth deploy FOLDER\n");
    output_->Object("Up", result, text);
    return ExitCode::kSuccess;
  }

 private:
  // A file that people may edit is written once; what the command line asks for is written again.
  absl::Status WriteSettings() {
    const absl::StatusOr<std::string> settings =
        ReadFile(platform_.server_settings(), kSettingsFileBytesMax);
    std::string listen = options_.listen;
    if (listen.empty()) {
      listen = kListenDefault;
      if (settings.ok()) {
        BERTH_ASSIGN_OR_RETURN(listen, ListenOf(*settings, platform_.server_settings()));
      }
    }
    BERTH_ASSIGN_OR_RETURN(address_, AddressToReach(listen));
    if (!settings.ok() || !options_.listen.empty()) {
      BERTH_RETURN_IF_ERROR(WriteFileAtomically(platform_.server_settings(),
                                                ServerSettings(platform_, listen), kSecretMode));
    }
    const absl::StatusOr<std::string> edge =
        ReadFile(platform_.edge_settings(), kSettingsFileBytesMax);
    if (!edge.ok() || !options_.listen.empty()) {
      BERTH_RETURN_IF_ERROR(WriteFileAtomically(platform_.edge_settings(),
                                                EdgeSettings(platform_, address_), kSecretMode));
    }
    const absl::StatusOr<std::string> agent =
        ReadFile(platform_.agent_settings(), kSettingsFileBytesMax);
    if (agent.ok() && options_.listen.empty() && options_.containers_conf.empty()) {
      return absl::OkStatus();
    }
    std::string containers_conf = options_.containers_conf;
    if (containers_conf.empty() && agent.ok()) {
      BERTH_ASSIGN_OR_RETURN(containers_conf, ContainersConfOf(*agent, platform_.agent_settings()));
    }
    return WriteFileAtomically(platform_.agent_settings(),
                               AgentSettings(platform_, address_, containers_conf), kSecretMode);
  }

  absl::StatusOr<UpDaemon> Ensure(const DaemonProcess& daemon) {
    if (std::optional<RunningProcess> process = FindDaemon(daemon)) {
      return UpDaemon{*std::move(process), false};
    }
    output_->Say(absl::StrCat("starting ", daemon.arguments.front()));
    BERTH_ASSIGN_OR_RETURN(RunningProcess process, StartDaemon(daemon));
    return UpDaemon{std::move(process), true};
  }

  // It serves once it refuses a caller without a name.
  absl::Status AwaitServer(const DaemonProcess& daemon, const RunningProcess& process) {
    return AwaitDaemon(daemon, process, kServerStartMax, [this] {
      BERTH_ASSIGN_OR_RETURN(ca_pem_, ReadCa(platform_.ca_file()));
      const absl::Status status = PrincipalOf(address_, ca_pem_, "").status();
      return absl::IsUnauthenticated(status) ? absl::OkStatus() : status;
    });
  }

  absl::Status EnsureSignedIn() {
    BERTH_ASSIGN_OR_RETURN(PersonalFiles files, LoadPersonalFiles(ProcessEnvironment));
    token_ = files.credentials[kLocalContext];
    Context& context = files.config.contexts[kLocalContext];
    const bool context_is_right =
        context.server == address_ && context.ca_file == platform_.ca_file();
    absl::StatusOr<std::string> principal = absl::UnauthenticatedError("no token");
    if (context_is_right && !token_.empty()) principal = PrincipalOf(address_, ca_pem_, token_);
    if (principal.ok()) {
      principal_ = *principal;
      return absl::OkStatus();
    }
    if (!absl::IsUnauthenticated(principal.status())) return principal.status();

    BERTH_ASSIGN_OR_RETURN(const std::string bootstrap_token,
                           ReadFile(platform_.bootstrap_token(), kTokenBytesMax));
    BERTH_ASSIGN_OR_RETURN(const SignedIn signed_in, SignIn(address_, ca_pem_, bootstrap_token));
    token_ = signed_in.token;
    principal_ = signed_in.principal;
    files.credentials[kLocalContext] = token_;
    context = Context{address_, platform_.ca_file(), "", kLocalOrg, platform_.podman_socket()};
    files.config.current = kLocalContext;
    return SavePersonalFiles(ProcessEnvironment, files);
  }

  std::shared_ptr<rpc::Channel> Connect() const { return cli::Connect(address_, ca_pem_, token_); }

  // Sees to it that the machine whose state is kept there can join, and answers its name. A member
  // keeps its name, whatever the machine is called now.
  absl::StatusOr<std::string> EnsureMayJoin(auth::v1::MachineKind kind, absl::string_view what,
                                            const std::string& state) {
    const std::string membership_file = LocalPlatform::Membership(state);
    const absl::StatusOr<std::string> membership = ReadFile(membership_file, kMembershipBytesMax);
    if (membership.ok()) {
      auth::v1::EnrolResponse member;
      if (!member.ParseFromString(*membership)) {
        return absl::FailedPreconditionError(absl::StrCat(membership_file, " is not a membership"));
      }
      return member.machine().name();
    }
    if (!absl::IsNotFound(membership.status())) return membership.status();
    char hostname[HOST_NAME_MAX + 1] = "";
    gethostname(hostname, sizeof(hostname) - 1);
    auth::v1::CreateJoinTokenRequest request;
    request.set_org(kLocalOrg);
    request.set_kind(kind);
    request.set_name(MachineName(hostname));
    const auto response = Connect()->Call<auth::v1::CreateJoinTokenResponse>(request);
    if (absl::IsAlreadyExists(response.status())) {
      return WithAction(
          absl::FailedPreconditionError(
              absl::StrCat("this machine is the ", what, " ", request.name(),
                           " already, but its keys are gone from ", state)),
          absl::StrCat("restore that folder; or remove the ", what, " with `berth ", what,
                       " remove ", request.name(), "`, and run `berth up` again"));
    }
    if (!response.ok()) return response.status();
    if (mkdir(state.c_str(), 0700) != 0 && errno != EEXIST) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot make the folder ", state, ": ", std::strerror(errno)));
    }
    BERTH_RETURN_IF_ERROR(WriteFileAtomically(
        LocalPlatform::JoinToken(state), absl::StrCat(response->join_token(), "\n"), kSecretMode));
    return request.name();
  }

  // Until then another `berth up` could not tell a machine that joins from one that lost its keys.
  static absl::Status AwaitMember(const DaemonProcess& daemon, const RunningProcess& process,
                                  const std::string& state) {
    return AwaitDaemon(daemon, process, kJoinMax, [&state] {
      return ReadFile(LocalPlatform::Membership(state), kMembershipBytesMax).status();
    });
  }

  absl::StatusOr<scheduler::v1::Host> AwaitHost(const DaemonProcess& daemon,
                                                const RunningProcess& process) {
    const std::shared_ptr<rpc::Channel> channel = Connect();
    scheduler::v1::ListHostsRequest request;
    request.set_org(kLocalOrg);
    scheduler::v1::Host found;
    BERTH_RETURN_IF_ERROR(AwaitDaemon(daemon, process, kAgentStartMax, [&]() -> absl::Status {
      BERTH_ASSIGN_OR_RETURN(const auto hosts,
                             channel->Call<scheduler::v1::ListHostsResponse>(request));
      for (const scheduler::v1::Host& host : hosts.hosts()) {
        if (host.name() != host_ || host.presence() != scheduler::v1::HOST_PRESENCE_UP) continue;
        found = host;
        return absl::OkStatus();
      }
      return absl::NotFoundError(absl::StrCat("host ", host_, " has not reported"));
    }));
    return found;
  }

  const LocalPlatform platform_;
  const UpOptions options_;
  const Output* const output_;
  std::string address_;
  std::string ca_pem_;
  std::string token_;
  std::string principal_;
  std::string host_;
};

absl::StatusOr<ExitCode> RunUp(const UpOptions& options, Session* session) {
  BERTH_ASSIGN_OR_RETURN(PlatformFolder folder, PlatformFolder::Make(options.state));
  if (folder.platform().HasJoinedAnother()) {
    return WithAction(
        absl::FailedPreconditionError(
            absl::StrCat(folder.platform().folder, " belongs to a machine of another Berth")),
        "start its daemons with `berth host join` or `berth edge join`, or name another --state");
  }
  UpOptions absolute = options;
  if (!options.containers_conf.empty()) {
    absolute.containers_conf = std::filesystem::absolute(options.containers_conf).string();
  }
  return Up(folder.platform(), absolute, &session->output()).Run();
}

}  // namespace

Command UpCommand() {
  const auto options = std::make_shared<UpOptions>();
  return {.name = "up",
          .summary = "Start what of Berth does not run yet on this machine, and sign in to it",
          .example = "berth up",
          .declare =
              [options](Arguments* arguments) {
                arguments->Option("--state", &options->state, "FOLDER",
                                  "keep everything there; default: /var/lib/berth for root");
                arguments->Option(
                    "--listen", &options->listen, "HOST:PORT",
                    absl::StrCat("where the server listens; default: ", kListenDefault));
                arguments->Option("--containers-conf", &options->containers_conf, "FILE",
                                  "a containers.conf for Podman");
              },
          .run = [options](Session* session) { return RunUp(*options, session); }};
}

}  // namespace berth::cli
