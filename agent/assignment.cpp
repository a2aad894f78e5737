#include "agent/assignment.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/ids/names.h"
#include "common/net/ipv6_text.h"
#include "common/time/timestamp.h"

namespace berth::agent {
namespace {

using scheduler::v1::Assignment;

// Where an instance finds its secrets if its manifest does not say.
constexpr char kSecretsFile[] = "/run/berth/secrets.env";

// The port of that name, or 0: a manifest with a check of a port it lacks is refused long before.
uint16_t PortOf(const Assignment& assignment, const std::string& name) {
  const auto found = assignment.process().ports().find(name);
  return found == assignment.process().ports().end() ? uint16_t{0}
                                                     : static_cast<uint16_t>(found->second.port());
}

}  // namespace

InstanceSpec SpecOf(const Assignment& assignment, const std::string& network) {
  const config::v1::Process& process = assignment.process();
  InstanceSpec spec;
  spec.instance_id = assignment.instance();
  spec.attempt = assignment.attempt();
  spec.image = assignment.image();
  spec.command.assign(process.command().begin(), process.command().end());
  spec.env.insert(process.env().begin(), process.env().end());
  spec.env["BERTH_INSTANCE"] = assignment.instance();
  spec.env["BERTH_RELEASE"] = absl::StrCat(assignment.release());
  spec.cpu_milli = 0;  // Soft: a share of the CPU is promised, never a limit set.
  spec.memory_bytes_max = static_cast<int64_t>(process.resources().memory_bytes());
  spec.network = network;
  spec.ipv6_address = Ipv6Text(assignment.address());
  spec.user = process.user();
  spec.read_only_root = process.read_only_root();
  if (!process.stop().signal().empty()) spec.stop_signal = process.stop().signal();
  spec.stop_grace = GraceOf(assignment);
  spec.labels["environment"] = ToString(assignment.environment());
  spec.labels["release"] = absl::StrCat(assignment.release());
  return spec;
}

void GiveSecrets(const Assignment& assignment, const GivenSecrets& given, InstanceSpec* spec) {
  const std::string& asked = assignment.process().secrets().file();
  const std::string target = asked.empty() ? kSecretsFile : asked;
  spec->mounts.push_back({given.file, target, Mount::Access::kReadOnly, Mount::Owner::kInstance});
  spec->env["BERTH_SECRETS_FILE"] = target;
  spec->env.insert(given.env.begin(), given.env.end());
}

std::optional<Check> CheckOf(const Assignment& assignment, const config::v1::Probe& probe) {
  switch (probe.check_case()) {
    case config::v1::Probe::kTcp:
      return TcpCheck{PortOf(assignment, probe.tcp().port())};
    case config::v1::Probe::kHttp:
      return HttpCheck{PortOf(assignment, probe.http().port()),
                       probe.http().path(),
                       {probe.http().expect().begin(), probe.http().expect().end()}};
    case config::v1::Probe::kExec:
      return ExecCheck{{probe.exec().command().begin(), probe.exec().command().end()}};
    case config::v1::Probe::CHECK_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

ProbePolicy PolicyOf(const config::v1::Probe& probe) {
  ProbePolicy policy;
  if (probe.has_interval()) policy.interval = FromProtoDuration(probe.interval());
  if (probe.has_timeout()) policy.timeout = FromProtoDuration(probe.timeout());
  if (probe.successes() > 0) policy.successes_needed = static_cast<int>(probe.successes());
  if (probe.failures() > 0) policy.failures_needed = static_cast<int>(probe.failures());
  return policy;
}

ImageRequest::Pull PullOf(const Assignment& assignment) {
  switch (assignment.image_pull()) {
    case config::v1::IMAGE_PULL_ALWAYS:
      return ImageRequest::Pull::kAlways;
    case config::v1::IMAGE_PULL_NEVER:
      return ImageRequest::Pull::kNever;
    default:
      return ImageRequest::Pull::kMissing;
  }
}

absl::Duration GraceOf(const Assignment& assignment) {
  const config::v1::Stop& stop = assignment.process().stop();
  return stop.has_grace() ? FromProtoDuration(stop.grace()) : InstanceSpec().stop_grace;
}

std::string ExitReason(const InstanceStatus& status, const Assignment& assignment) {
  if (!status.error.empty()) return absl::StrCat("could not be started: ", status.error);
  if (status.oom_killed) {
    return absl::StrCat("was killed: it used more than its ",
                        assignment.process().resources().memory_bytes() >> 20, " MiB of memory");
  }
  if (status.exit_code.has_value()) {
    return absl::StrCat("exited by itself with code ", *status.exit_code);
  }
  return "ended by itself";
}

}  // namespace berth::agent
