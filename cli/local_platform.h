#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/context.h"
#include "cli/daemon_process.h"

namespace berth::cli {

// The Berth that `berth up` runs on this machine: one folder with the settings, state, pids and
// logs of a server, an agent and an edge.
struct LocalPlatform {
  std::string folder;

  std::string server_settings() const { return folder + "/server.yaml"; }
  std::string agent_settings() const { return folder + "/agent.yaml"; }
  std::string server_state() const { return folder + "/server"; }
  std::string agent_state() const { return folder + "/agent"; }
  // Where the agent has Podman listen unless its settings say otherwise.
  std::string podman_socket() const { return agent_state() + "/podman/podman.sock"; }
  std::string edge_settings() const { return folder + "/edge.yaml"; }
  std::string edge_state() const { return folder + "/edge"; }
  std::string ca_file() const { return server_state() + "/ca.pem"; }
  std::string bootstrap_token() const { return server_state() + "/bootstrap-token"; }
  // In the state folder of the agent or the edge.
  static std::string JoinToken(const std::string& state) { return state + "/join-token"; }
  // Written by the agent or the edge once it is a member.
  static std::string Membership(const std::string& state) { return state + "/member"; }
  // It holds the settings of an agent or edge, and none of a server.
  bool HasJoinedAnother() const;
  // Written by each daemon where it serves HTTP: HOST:PORT.
  static std::string HttpAddress(const std::string& state) { return state + "/http-address"; }
  std::string lock_file() const { return folder + "/run/lock"; }

  // kFailedPrecondition: the path of this program is not known.
  absl::StatusOr<DaemonProcess> server() const;
  absl::StatusOr<DaemonProcess> agent() const;
  absl::StatusOr<DaemonProcess> edge() const;
};

// The context that `berth up` makes and keeps, and the org its machine belongs to.
inline constexpr char kLocalContext[] = "local";
inline constexpr char kLocalOrg[] = "home";
inline constexpr char kListenDefault[] = "127.0.0.1:7443";

// Where the platform is unless --state says otherwise: /var/lib/berth for root, a folder of the
// person's own for everybody else.
absl::StatusOr<std::string> DefaultStateFolder(const Environment& environment, bool is_root);

// What the settings files say. A platform whose server has another port than the default one's is
// perhaps not the machine's only one: its daemons take any ports for HTTP.
std::string ServerSettings(const LocalPlatform& platform, absl::string_view listen);
std::string AgentSettings(const LocalPlatform& platform, absl::string_view server,
                          absl::string_view containers_conf);

std::string EdgeSettings(const LocalPlatform& platform, absl::string_view server);
// The same for a machine without the server: its join token says which CA to trust.
std::string JoiningAgentSettings(const LocalPlatform& platform, absl::string_view server,
                                 absl::string_view containers_conf);
std::string JoiningEdgeSettings(const LocalPlatform& platform, absl::string_view server);

// The setting `listen` of a server's settings; kListenDefault where it is absent.
absl::StatusOr<std::string> ListenOf(absl::string_view settings, absl::string_view file_name);

// The containers.conf of an agent's settings; empty where they name none.
absl::StatusOr<std::string> ContainersConfOf(absl::string_view settings,
                                             absl::string_view file_name);

// Where clients on this machine reach a server that listens so: an address that means all of them
// is replaced by the loopback's. kInvalidArgument: not HOST:PORT.
absl::StatusOr<std::string> AddressToReach(absl::string_view listen);

// A machine name made of a host name: a DNS label that begins with a letter.
std::string MachineName(absl::string_view hostname);

}  // namespace berth::cli
