#include "common/manifest/parse_process.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/manifest/manifest_values.h"
#include "common/yaml/nearest_name.h"

namespace berth {
namespace {

using config::v1::Probe;
using config::v1::Process;

constexpr uint32_t kReplicasMax = 1000;
constexpr size_t kPortsMax = 20;
constexpr uint32_t kPortNumberMax = 65535;
constexpr size_t kEnvMax = 200;
constexpr size_t kSecretsMax = 100;
constexpr size_t kLabelsMax = 20;
constexpr size_t kStatusesMax = 50;
constexpr uint32_t kProbeCountMax = 100;
constexpr uint32_t kUpdateCountMax = 100;
constexpr size_t kPathBytesMax = 1024;
constexpr absl::Duration kProbeDurationMin = absl::Milliseconds(100);
constexpr absl::Duration kDurationMax = absl::Hours(1);
constexpr absl::Duration kDeadlineMin = absl::Seconds(1);
constexpr absl::Duration kDeadlineMax = absl::Hours(24);

constexpr uint32_t kCpuMilliDefault = 100;
constexpr uint64_t kMemoryBytesDefault = uint64_t{128} << 20;
constexpr char kSecretsFileDefault[] = "/run/berth/secrets.env";
constexpr char kStopSignalDefault[] = "SIGTERM";
constexpr char kOwnPrefix[] = "BERTH_";

bool IsVariableName(absl::string_view name) {
  return !name.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
         });
}

void CheckVariableName(const yaml::NamedValue& entry) {
  if (!IsVariableName(entry.name)) {
    entry.RefuseName("is not a variable's name; use letters, digits and _");
  } else if (absl::StartsWith(entry.name, kOwnPrefix)) {
    entry.RefuseName(absl::StrCat("names starting with ", kOwnPrefix, " are Berth's own"));
  }
}

void ParsePorts(const yaml::Value& value, Process* process) {
  std::map<uint32_t, std::string> names_by_number;
  for (const yaml::NamedValue& entry : value.Entries(kPortsMax)) {
    CheckName(entry);
    config::v1::Port& port = (*process->mutable_ports())[entry.name];
    port.set_protocol(config::v1::PROTOCOL_TCP);
    std::optional<yaml::Value> number = entry.value;
    if (!entry.value.IsScalar()) {
      yaml::Fields fields(entry.value);
      number = fields.Required("port");
      if (const auto protocol = fields.Optional("protocol")) protocol->Choice({"tcp"});
      fields.RefuseUnknown();
    }
    if (!number.has_value()) continue;
    port.set_port(ReadNumber(*number, 1, kPortNumberMax).value_or(0));
    if (port.port() == 0) continue;
    const auto [other, is_new] = names_by_number.emplace(port.port(), entry.name);
    if (!is_new) number->Refuse(absl::StrCat("port ", port.port(), " is ", other->second, "'s"));
  }
}

void ParseResources(const std::optional<yaml::Value>& value, types::v1::Resources* resources) {
  yaml::Fields fields(value);
  resources->set_cpu_milli(kCpuMilliDefault);
  if (const auto cpu = fields.Optional("cpu")) {
    resources->set_cpu_milli(ReadCpu(*cpu).value_or(kCpuMilliDefault));
  }
  resources->set_memory_bytes(kMemoryBytesDefault);
  if (const auto memory = fields.Optional("memory")) {
    resources->set_memory_bytes(ReadMemory(*memory).value_or(kMemoryBytesDefault));
  }
  fields.RefuseUnknown();
}

void ParseEnv(const yaml::Value& value, Process* process) {
  for (const yaml::NamedValue& entry : value.Entries(kEnvMax)) {
    CheckVariableName(entry);
    (*process->mutable_env())[entry.name] = ReadVerbatim(entry.value).value_or("");
  }
}

std::set<std::string> ParseSecretNames(const yaml::Value& value) {
  std::set<std::string> names;
  for (const yaml::Value& item : value.Items(kSecretsMax)) {
    const auto name = ReadName(item);
    if (name.has_value() && !names.insert(*name).second) {
      item.Refuse(absl::StrCat(*name, " is in the list twice"));
    }
  }
  if (value.IsSequence() && value.node().items.empty()) value.Refuse("is empty");
  return names;
}

void ParseSecretsFile(const yaml::Value& value, config::v1::Secrets* secrets) {
  const auto path = value.Word("an absolute path");
  if (!path.has_value()) return;
  const std::vector<absl::string_view> parts = absl::StrSplit(*path, '/');
  const bool plain = std::none_of(parts.begin() + 1, parts.end(), [](absl::string_view part) {
    return part.empty() || part == "." || part == "..";
  });
  if (path->size() > kPathBytesMax || parts.size() < 2 || !parts[0].empty() || !plain) {
    value.Refuse(absl::StrCat(yaml::Quoted(*path), " is not an absolute path of a file"));
  } else {
    secrets->set_file(*path);
  }
}

void ParseSecretsEnv(const yaml::Value& value, const std::set<std::string>& names,
                     Process* process) {
  const std::vector<std::string> known(names.begin(), names.end());
  for (const yaml::NamedValue& entry : value.Entries(kSecretsMax)) {
    CheckVariableName(entry);
    if (process->env().contains(entry.name)) entry.RefuseName("is among the process's env too");
    const auto secret = ReadName(entry.value);
    if (!secret.has_value()) continue;
    if (names.count(*secret) == 0) {
      entry.value.Refuse(
          absl::StrCat(*secret, " is not among the names", yaml::DidYouMean(*secret, known)));
    }
    (*process->mutable_secrets()->mutable_env())[entry.name] = *secret;
  }
}

void ParseSecrets(const yaml::Value& value, Process* process) {
  config::v1::Secrets* secrets = process->mutable_secrets();
  secrets->set_file(kSecretsFileDefault);
  std::set<std::string> names;
  if (value.IsSequence()) {
    names = ParseSecretNames(value);
  } else {
    yaml::Fields fields(value);
    if (const auto field = fields.Required("names")) names = ParseSecretNames(*field);
    if (const auto file = fields.Optional("file")) ParseSecretsFile(*file, secrets);
    if (const auto env = fields.Optional("env")) ParseSecretsEnv(*env, names, process);
    fields.RefuseUnknown();
  }
  secrets->mutable_names()->Assign(names.begin(), names.end());
}

std::string ParsePortReference(const yaml::Value& value, const Process& process) {
  const auto port = value.Word("the name of a port");
  if (!port.has_value() || !CheckPortName(value, process, *port)) return "";
  return *port;
}

void ParseTcpCheck(const yaml::Value& value, const Process& process, config::v1::TcpCheck* check) {
  if (value.IsScalar()) {
    check->set_port(ParsePortReference(value, process));
    return;
  }
  yaml::Fields fields(value);
  if (const auto port = fields.Required("port")) {
    check->set_port(ParsePortReference(*port, process));
  }
  fields.RefuseUnknown();
}

void ParseHttpCheck(const yaml::Value& value, const Process& process,
                    config::v1::HttpCheck* check) {
  yaml::Fields fields(value);
  if (const auto port = fields.Required("port")) {
    check->set_port(ParsePortReference(*port, process));
  }
  check->set_path("/");
  if (const auto path = fields.Optional("path")) {
    check->set_path(path->Word("a path").value_or("/"));
    const bool visible = std::all_of(check->path().begin(), check->path().end(), [](char c) {
      return absl::ascii_isgraph(static_cast<unsigned char>(c));
    });
    // Anything else could end the request line and begin another.
    if (check->path()[0] != '/' || !visible || check->path().size() > kPathBytesMax) {
      path->Refuse(absl::StrCat(yaml::Quoted(check->path()),
                                " is not a path; start it with / and escape blanks as %20"));
    }
  }
  if (const auto expect = fields.Optional("expect")) {
    std::set<uint32_t> statuses;
    for (const yaml::Value& item : expect->Items(kStatusesMax)) {
      if (const auto status = ReadNumber(item, 100, 599)) statuses.insert(*status);
    }
    check->mutable_expect()->Assign(statuses.begin(), statuses.end());
  }
  fields.RefuseUnknown();
}

void ParseProbe(const yaml::Value& value, const Process& process, Probe* probe) {
  yaml::Fields fields(value);
  const auto tcp = fields.Optional("tcp");
  const auto http = fields.Optional("http");
  const auto exec = fields.Optional("exec");
  if (tcp.has_value() + http.has_value() + exec.has_value() != 1 && value.IsMapping()) {
    value.Refuse("needs exactly one of tcp, http, exec");
  }
  if (tcp.has_value()) ParseTcpCheck(*tcp, process, probe->mutable_tcp());
  if (http.has_value()) ParseHttpCheck(*http, process, probe->mutable_http());
  if (exec.has_value()) {
    const std::vector<std::string> command = ReadCommand(*exec, 1);
    probe->mutable_exec()->mutable_command()->Assign(command.begin(), command.end());
  }
  ReadDuration(fields.Optional("interval"), kProbeDurationMin, kDurationMax, absl::Seconds(5),
               probe->mutable_interval());
  ReadDuration(fields.Optional("timeout"), kProbeDurationMin, kDurationMax, absl::Seconds(2),
               probe->mutable_timeout());
  probe->set_successes(1);
  if (const auto successes = fields.Optional("successes")) {
    probe->set_successes(ReadNumber(*successes, 1, kProbeCountMax).value_or(1));
  }
  probe->set_failures(3);
  if (const auto failures = fields.Optional("failures")) {
    probe->set_failures(ReadNumber(*failures, 1, kProbeCountMax).value_or(3));
  }
  fields.RefuseUnknown();
}

void ParseChecks(const yaml::Value& value, Process* process) {
  yaml::Fields fields(value);
  if (const auto ready = fields.Optional("ready")) {
    ParseProbe(*ready, *process, process->mutable_ready());
  }
  if (const auto live = fields.Optional("live")) {
    ParseProbe(*live, *process, process->mutable_live());
  }
  fields.RefuseUnknown();
}

void ParseUpdate(const std::optional<yaml::Value>& value, config::v1::Update* update) {
  yaml::Fields fields(value);
  update->set_max_surge(1);
  if (const auto surge = fields.Optional("max_surge")) {
    update->set_max_surge(ReadNumber(*surge, 0, kUpdateCountMax).value_or(1));
  }
  if (const auto unavailable = fields.Optional("max_unavailable")) {
    update->set_max_unavailable(ReadNumber(*unavailable, 0, kUpdateCountMax).value_or(0));
  }
  ReadDuration(fields.Optional("min_healthy"), absl::ZeroDuration(), kDurationMax,
               absl::ZeroDuration(), update->mutable_min_healthy());
  ReadDuration(fields.Optional("deadline"), kDeadlineMin, kDeadlineMax, absl::Minutes(5),
               update->mutable_deadline());
  fields.RefuseUnknown();
  if (update->max_surge() == 0 && update->max_unavailable() == 0) {
    fields.Refuse("max_surge and max_unavailable are both 0: nothing could be replaced");
  }
}

void ParseStop(const std::optional<yaml::Value>& value, config::v1::Stop* stop) {
  static constexpr std::initializer_list<absl::string_view> kSignals = {
      "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGKILL"};
  yaml::Fields fields(value);
  stop->set_signal(kStopSignalDefault);
  if (const auto signal = fields.Optional("signal")) {
    if (const auto index = signal->Choice(kSignals)) {
      stop->set_signal(std::string(kSignals.begin()[*index]));
    }
  }
  ReadDuration(fields.Optional("grace"), absl::ZeroDuration(), kDurationMax, absl::Seconds(10),
               stop->mutable_grace());
  fields.RefuseUnknown();
}

void ParsePlacement(const std::optional<yaml::Value>& value, config::v1::Placement* placement) {
  yaml::Fields fields(value);
  if (const auto require = fields.Optional("require")) {
    for (const yaml::NamedValue& label : require->Entries(kLabelsMax)) {
      CheckName(label);
      (*placement->mutable_require())[label.name] = label.value.Word().value_or("");
    }
  }
  placement->set_spread(config::v1::SPREAD_HOST);
  if (const auto spread = fields.Optional("spread")) {
    if (spread->Choice({"host", "none"}) == 1) placement->set_spread(config::v1::SPREAD_NONE);
  }
  if (const auto host = fields.Optional("host")) {
    placement->set_host(ReadName(*host).value_or(""));
  }
  fields.RefuseUnknown();
}

// UID, UID:GID, or names in their place, as the image's /etc/passwd has them.
bool IsUser(absl::string_view text) {
  constexpr size_t kUserBytesMax = 64;
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  return text.size() <= kUserBytesMax && parts.size() <= 2 &&
         std::all_of(parts.begin(), parts.end(), [](absl::string_view part) {
           return !part.empty() && part[0] != '-' &&
                  std::all_of(part.begin(), part.end(), [](char c) {
                    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
                           c == '-' || c == '.';
                  });
         });
}

void ParseSecurity(const std::optional<yaml::Value>& value, Process* process) {
  yaml::Fields fields(value);
  if (const auto user = fields.Optional("user")) {
    process->set_user(user->Word("a user such as 10001:10001").value_or(""));
    if (!process->user().empty() && !IsUser(process->user())) {
      user->Refuse(absl::StrCat(yaml::Quoted(process->user()),
                                " is not a user; write UID, UID:GID or a name"));
    }
  }
  if (const auto read_only = fields.Optional("read_only_root")) {
    process->set_read_only_root(read_only->Boolean().value_or(false));
  }
  fields.RefuseUnknown();
}

}  // namespace

void ParseProcess(const yaml::Value& value, Process* process) {
  yaml::Fields fields(value);
  process->set_runtime(config::v1::RUNTIME_PODMAN);
  if (const auto runtime = fields.Optional("runtime")) runtime->Choice({"podman"});
  if (const auto field = fields.Optional("command")) {
    const std::vector<std::string> command = ReadCommand(*field, 0);
    process->mutable_command()->Assign(command.begin(), command.end());
  }
  if (const auto replicas = fields.Optional("replicas")) {
    if (const auto count = ReadNumber(*replicas, 0, kReplicasMax)) process->set_replicas(*count);
  }
  // Before the checks, which refer to ports, and before the secrets, whose env must not repeat env.
  if (const auto ports = fields.Optional("ports")) ParsePorts(*ports, process);
  if (const auto env = fields.Optional("env")) ParseEnv(*env, process);
  if (const auto secrets = fields.Optional("secrets")) ParseSecrets(*secrets, process);
  if (const auto checks = fields.Optional("checks")) ParseChecks(*checks, process);
  ParseResources(fields.Optional("resources"), process->mutable_resources());
  ParseUpdate(fields.Optional("update"), process->mutable_update());
  ParseStop(fields.Optional("stop"), process->mutable_stop());
  ParsePlacement(fields.Optional("placement"), process->mutable_placement());
  ParseSecurity(fields.Optional("security"), process);
  fields.RefuseUnknown();
}

bool CheckPortName(const yaml::Value& value, const Process& process, const std::string& port) {
  if (process.ports().contains(port)) return true;
  std::vector<std::string> known;
  for (const auto& [name, unused] : process.ports()) known.push_back(name);
  std::sort(known.begin(), known.end());
  value.Refuse(absl::StrCat("there is no port ", yaml::Quoted(port), "; the process has ",
                            known.empty() ? "none" : absl::StrJoin(known, ", "),
                            yaml::DidYouMean(port, known)));
  return false;
}

}  // namespace berth
