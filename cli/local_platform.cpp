#include "cli/local_platform.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/json.h"
#include "common/net/socket_address.h"
#include "common/settings/settings.h"
#include "common/status/status_macros.h"
#include "common/yaml/strict_yaml.h"
#include "common/yaml/value.h"

namespace berth::cli {
namespace {

constexpr char kRootStateFolder[] = "/var/lib/berth";
constexpr size_t kNameBytesMax = 63;
constexpr char kFallbackName[] = "host";

// JSON's quoted texts are YAML's, too.
std::string Quoted(absl::string_view text) { return Json(std::string(text)).dump(); }

// The line for HTTP; empty: the default address.
std::string HttpSetting(absl::string_view server) {
  const absl::StatusOr<HostPort> address = ParseHostPort(server);
  const absl::StatusOr<HostPort> usual = ParseHostPort(kListenDefault);
  if (!address.ok() || address->port == usual->port) return "";
  return "http: \"127.0.0.1:0\"\n";
}

// A daemon whose binary stands beside this one.
absl::StatusOr<DaemonProcess> Daemon(const std::string& folder, const std::string& name,
                                     const std::string& settings) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat("/proc/self/exe: ", error.message()));
  }
  const std::string binary = (self.parent_path() / absl::StrCat("berth-", name)).string();
  return DaemonProcess{{binary, "--settings", settings},
                       absl::StrCat(folder, "/run/", name, ".pid"),
                       absl::StrCat(folder, "/log/", name, ".log")};
}

// One text out of settings whose other parts are their daemon's business. `find` picks it.
template <typename Find>
absl::StatusOr<std::string> ReadSetting(absl::string_view settings, absl::string_view file_name,
                                        absl::string_view otherwise, Find find) {
  yaml::Findings findings(file_name);
  std::string setting(otherwise);
  const std::optional<yaml::Node> document =
      yaml::ParseStrict(settings, kSettingsBytesMax, &findings);
  if (document) {
    yaml::Fields fields(yaml::Value(*document, "", &findings));
    if (const std::optional<yaml::Value> value = find(&fields)) {
      setting = value->Word().value_or("");
    }
  }
  BERTH_RETURN_IF_ERROR(findings.ToStatus());
  return setting;
}

// What agent and edge have in common.
std::string MemberSettings(const std::string& state, absl::string_view server) {
  return absl::StrCat("server: ", Quoted(server), "\nstate: ", Quoted(state),
                      "\njoin_token_file: ", Quoted(LocalPlatform::JoinToken(state)), "\n");
}

}  // namespace

absl::StatusOr<DaemonProcess> LocalPlatform::server() const {
  return Daemon(folder, "server", server_settings());
}

bool LocalPlatform::HasJoinedAnother() const {
  return !std::filesystem::exists(server_settings()) &&
         (std::filesystem::exists(agent_settings()) || std::filesystem::exists(edge_settings()));
}

absl::StatusOr<DaemonProcess> LocalPlatform::agent() const {
  return Daemon(folder, "agent", agent_settings());
}

absl::StatusOr<DaemonProcess> LocalPlatform::edge() const {
  return Daemon(folder, "edge", edge_settings());
}

absl::StatusOr<std::string> DefaultStateFolder(const Environment& environment, bool is_root) {
  if (is_root) return std::string(kRootStateFolder);
  BERTH_ASSIGN_OR_RETURN(const std::string home, StateHome(environment));
  return absl::StrCat(home, "/platform");
}

std::string ServerSettings(const LocalPlatform& platform, absl::string_view listen) {
  return absl::StrCat("listen: ", Quoted(listen), "\nstate: ", Quoted(platform.server_state()),
                      "\n", HttpSetting(listen));
}

std::string AgentSettings(const LocalPlatform& platform, absl::string_view server,
                          absl::string_view containers_conf) {
  return absl::StrCat("ca_file: ", Quoted(platform.ca_file()), "\n",
                      JoiningAgentSettings(platform, server, containers_conf), HttpSetting(server));
}

std::string EdgeSettings(const LocalPlatform& platform, absl::string_view server) {
  return absl::StrCat("ca_file: ", Quoted(platform.ca_file()), "\n",
                      JoiningEdgeSettings(platform, server), HttpSetting(server));
}

std::string JoiningAgentSettings(const LocalPlatform& platform, absl::string_view server,
                                 absl::string_view containers_conf) {
  std::string text = MemberSettings(platform.agent_state(), server);
  if (!containers_conf.empty()) {
    absl::StrAppend(&text, "podman: {containers_conf: ", Quoted(containers_conf), "}\n");
  }
  return text;
}

std::string JoiningEdgeSettings(const LocalPlatform& platform, absl::string_view server) {
  return MemberSettings(platform.edge_state(), server);
}

absl::StatusOr<std::string> ListenOf(absl::string_view settings, absl::string_view file_name) {
  return ReadSetting(settings, file_name, kListenDefault,
                     [](yaml::Fields* fields) { return fields->Optional("listen"); });
}

absl::StatusOr<std::string> ContainersConfOf(absl::string_view settings,
                                             absl::string_view file_name) {
  return ReadSetting(settings, file_name, "", [](yaml::Fields* fields) {
    return yaml::Fields(fields->Optional("podman")).Optional("containers_conf");
  });
}

absl::StatusOr<std::string> AddressToReach(absl::string_view listen) {
  BERTH_ASSIGN_OR_RETURN(HostPort address, ParseHostPort(listen));
  if (address.host.empty() || address.host == "0.0.0.0") address.host = "127.0.0.1";
  if (address.host == "::") address.host = "::1";
  return FormatHostPort(address);
}

std::string MachineName(absl::string_view hostname) {
  std::string name;
  for (const char c : hostname.substr(0, hostname.find('.'))) {
    const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
    name.push_back(absl::ascii_isalnum(static_cast<unsigned char>(lower)) ? lower : '-');
  }
  name = name.substr(0, name.find_last_not_of('-') + 1);
  name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
  if (name.empty()) return kFallbackName;
  if (!absl::ascii_islower(static_cast<unsigned char>(name.front()))) {
    name = absl::StrCat(kFallbackName, "-", name);
  }
  if (name.size() > kNameBytesMax) name.resize(kNameBytesMax);
  return name.substr(0, name.find_last_not_of('-') + 1);
}

}  // namespace berth::cli
