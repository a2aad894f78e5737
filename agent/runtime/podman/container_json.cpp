#include "agent/runtime/podman/container_json.h"

#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/libpod/json_fields.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

using nlohmann::json;

// What the kernel's scheduler takes a share of a CPU from.
constexpr int64_t kCpuPeriodMicroseconds = 100'000;
constexpr int64_t kMilliPerCpu = 1000;

constexpr std::pair<absl::string_view, int> kStopSignals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},   {"KILL", SIGKILL},
    {"TERM", SIGTERM}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2},   {"ALRM", SIGALRM},
    {"CONT", SIGCONT}, {"PWR", SIGPWR},   {"WINCH", SIGWINCH}, {"ABRT", SIGABRT},
};

absl::StatusOr<int> SignalNumber(absl::string_view name) {
  absl::string_view bare = name;
  absl::ConsumePrefix(&bare, "SIG");
  for (const auto& [known, number] : kStopSignals) {
    if (bare == known) return number;
  }
  // systemd, as a container's first process, is asked to end by SIGRTMIN+3.
  absl::string_view offset = bare;
  int above_minimum = 0;
  if (absl::ConsumePrefix(&offset, "RTMIN+") && absl::SimpleAtoi(offset, &above_minimum) &&
      above_minimum >= 0 && SIGRTMIN + above_minimum <= SIGRTMAX) {
    return SIGRTMIN + above_minimum;
  }
  return absl::InvalidArgumentError(absl::StrCat("there is no stop signal ", name));
}

bool IsInstanceId(absl::string_view id) {
  if (id.empty() || id.size() > 100) return false;
  for (const char c : id) {
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') return false;
  }
  return true;
}

json ResourceLimits(const InstanceSpec& spec) {
  json limits = json::object();
  if (spec.memory_bytes_max > 0) {
    // Swap counts into the same limit: an instance that needs more than it was given is ended, not
    // slowed down together with its neighbours.
    limits["memory"] = {{"limit", spec.memory_bytes_max}, {"swap", spec.memory_bytes_max}};
  }
  if (spec.cpu_milli > 0) {
    limits["cpu"] = {{"period", kCpuPeriodMicroseconds},
                     {"quota", spec.cpu_milli * kCpuPeriodMicroseconds / kMilliPerCpu}};
  }
  if (spec.pids_max > 0) limits["pids"] = {{"limit", spec.pids_max}};
  return limits;
}

json Mounts(const InstanceSpec& spec) {
  json mounts = json::array();
  for (const Mount& mount : spec.mounts) {
    const char* access = mount.access == Mount::Access::kReadOnly ? "ro" : "rw";
    json options = {access, "rbind", "nosuid", "nodev"};
    // Podman knows who that is, also by a name of the image and in a user namespace; and where
    // SELinux is on, which label only this container has.
    if (mount.owner == Mount::Owner::kInstance) options.insert(options.end(), {"U", "Z"});
    mounts.push_back({{"type", "bind"},
                      {"source", mount.source},
                      {"destination", mount.target},
                      {"options", std::move(options)}});
  }
  for (const TmpfsMount& tmpfs : spec.tmpfs) {
    mounts.push_back(
        {{"type", "tmpfs"},
         {"source", "tmpfs"},
         {"destination", tmpfs.target},
         {"options", {absl::StrCat("size=", tmpfs.bytes_max), "mode=1777", "nosuid", "nodev"}}});
  }
  return mounts;
}

InstancePhase PhaseFromState(absl::string_view state) {
  if (state == "created" || state == "configured" || state == "initialized") {
    return InstancePhase::kCreated;
  }
  if (state == "running" || state == "paused" || state == "stopping") {
    return InstancePhase::kRunning;
  }
  return InstancePhase::kExited;
}

// Podman writes a time that never was as the year 1, or as a number before 1970.
std::optional<absl::Time> TimeFromText(const std::string& text) {
  absl::Time time;
  std::string ignored;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &ignored)) return std::nullopt;
  if (time <= absl::UnixEpoch()) return std::nullopt;
  return time;
}

std::optional<absl::Time> TimeFromSeconds(int64_t seconds) {
  if (seconds <= 0) return std::nullopt;
  return absl::FromUnixSeconds(seconds);
}

// What is true of a phase only.
InstanceStatus StatusOf(InstancePhase phase, std::optional<absl::Time> started_at,
                        std::optional<absl::Time> exited_at, const json& numbers) {
  InstanceStatus status;
  status.phase = phase;
  if (phase == InstancePhase::kCreated) return status;
  status.started_at = started_at;
  if (phase == InstancePhase::kRunning) {
    status.pid = IntegerOf(numbers, "Pid");
    return status;
  }
  status.exited_at = exited_at;
  status.exit_code = static_cast<int>(IntegerOf(numbers, "ExitCode"));
  return status;
}

}  // namespace

std::string ContainerName(absl::string_view instance_id) {
  return absl::StrCat("berth-", instance_id);
}

absl::StatusOr<json> ContainerRequest(const InstanceSpec& spec, absl::string_view host) {
  if (!IsInstanceId(spec.instance_id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("instance id \"", spec.instance_id, "\" is not of [a-z0-9-]"));
  }
  BERTH_ASSIGN_OR_RETURN(const int stop_signal, SignalNumber(spec.stop_signal));
  json labels = spec.labels;
  labels[kInstanceLabel] = spec.instance_id;
  labels[kAttemptLabel] = absl::StrCat(spec.attempt);
  labels[kHostLabel] = std::string(host);
  json request = {
      {"name", ContainerName(spec.instance_id)},
      {"image", spec.image},
      {"env", spec.env},
      {"labels", std::move(labels)},
      {"resource_limits", ResourceLimits(spec)},
      {"mounts", Mounts(spec)},
      {"read_only_filesystem", spec.read_only_root},
      {"stop_signal", stop_signal},
      {"stop_timeout", absl::ToInt64Seconds(spec.stop_grace)},
      {"restart_policy", "no"},  // Berth restarts.
      {"log_configuration", {{"driver", "k8s-file"}, {"size", kLogBytesMax}}},
  };
  if (!spec.command.empty()) {
    // Given as Podman's `command`, it would be arguments of the image's entrypoint.
    request["entrypoint"] = spec.command;
  }
  if (!spec.user.empty()) request["user"] = spec.user;
  if (!spec.working_folder.empty()) request["work_dir"] = spec.working_folder;
  if (spec.network.empty()) {
    request["netns"] = {{"nsmode", "none"}};
  } else {
    json attachment = json::object();
    if (!spec.ipv6_address.empty()) attachment["static_ips"] = {spec.ipv6_address};
    request["netns"] = {{"nsmode", "bridge"}};
    request["Networks"] = {{spec.network, std::move(attachment)}};
  }
  return request;
}

std::optional<json> ExecProcess(const json& container, const ExecSpec& spec) {
  json process = FieldOf(container, "process");
  if (!process.is_object()) return std::nullopt;
  process["args"] = spec.command;
  process["terminal"] = spec.terminal.has_value();
  process.erase("consoleSize");
  if (spec.terminal.has_value()) {
    process["consoleSize"] = {{"height", spec.terminal->rows}, {"width", spec.terminal->columns}};
  }
  return process;
}

InstanceStatus StatusFromInspection(const json& container) {
  const json& state = FieldOf(container, "State");
  InstanceStatus status = StatusOf(PhaseFromState(StringOf(state, "Status")),
                                   TimeFromText(StringOf(state, "StartedAt")),
                                   TimeFromText(StringOf(state, "FinishedAt")), state);
  status.oom_killed = BoolOf(state, "OOMKilled");
  status.error = StringOf(state, "Error");
  return status;
}

InstanceStatus StatusFromListEntry(const json& container) {
  return StatusOf(PhaseFromState(StringOf(container, "State")),
                  TimeFromSeconds(IntegerOf(container, "StartedAt")),
                  TimeFromSeconds(IntegerOf(container, "ExitedAt")), container);
}

int64_t AttemptOf(const json& labels) {
  int64_t attempt = 0;
  return absl::SimpleAtoi(StringOf(labels, kAttemptLabel), &attempt) ? attempt : 0;
}

std::optional<InstanceRecord> RecordFromListEntry(const json& container) {
  const json& labels = FieldOf(container, "Labels");
  InstanceRecord record;
  record.handle.value = StringOf(container, "Id");
  record.instance_id = StringOf(labels, kInstanceLabel);
  record.attempt = AttemptOf(labels);
  if (record.handle.value.empty() || record.instance_id.empty()) return std::nullopt;
  for (const auto& [key, value] : labels.items()) {
    if (absl::StartsWith(key, "berth.") || !value.is_string()) continue;
    record.labels[key] = value.get<std::string>();
  }
  record.status = StatusFromListEntry(container);
  return record;
}

std::optional<InstanceExit> ExitFromEvent(const json& event, absl::string_view host) {
  const json& actor = FieldOf(event, "Actor");
  const json& labels = FieldOf(actor, "Attributes");
  if (StringOf(labels, kHostLabel) != host) return std::nullopt;
  InstanceExit exit{{StringOf(actor, "ID")}, StringOf(labels, kInstanceLabel), AttemptOf(labels)};
  if (exit.handle.value.empty() || exit.instance_id.empty()) return std::nullopt;
  return exit;
}

}  // namespace berth
