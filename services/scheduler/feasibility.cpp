#include "services/scheduler/feasibility.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace berth::scheduler {
namespace {

std::string Mebibytes(uint64_t bytes) { return absl::StrFormat("%d MiB", bytes >> 20); }

uint64_t Left(uint64_t capacity, uint64_t promised) {
  return capacity > promised ? capacity - promised : 0;
}

}  // namespace

std::optional<std::string> WhyInfeasible(const std::string& name, const Host& host,
                                         const Demand& demand) {
  if (host.machine.org() != demand.org) return absl::StrCat(name, " belongs to another org");
  if (host.machine.status() != auth::v1::MACHINE_STATUS_ACTIVE) {
    return absl::StrCat(name, " has changed its keys and waits for approval");
  }
  switch (host.presence) {
    case v1::HOST_PRESENCE_UP:
      break;
    case v1::HOST_PRESENCE_STALE:
      return absl::StrCat(name, " has not reported for a while");
    case v1::HOST_PRESENCE_LOST:
      return absl::StrCat(name, " is lost");
    default:
      return absl::StrCat(name, " has not reported yet");
  }
  if (host.facts.problems_size() > 0) {
    return absl::StrCat(name, " cannot run instances: ", host.facts.problems(0));
  }
  const config::v1::Placement& placement = demand.process->placement();
  if (!placement.host().empty() && placement.host() != name) {
    return absl::StrCat("the manifest asks for host ", placement.host(), ", not ", name);
  }
  for (const auto& [label, value] : placement.require()) {
    const auto found = host.labels.find(label);
    if (found == host.labels.end()) return absl::StrCat(name, " has no label ", label, "=", value);
    if (found->second != value) {
      return absl::StrCat(name, " has label ", label, "=", found->second, ", not ", value);
    }
  }
  const types::v1::Resources& needed = demand.process->resources();
  const types::v1::Resources& capacity = host.facts.capacity();
  const uint64_t memory_left = Left(capacity.memory_bytes(), host.promised.memory_bytes());
  if (needed.memory_bytes() > memory_left) {
    return absl::StrCat(name, " has ", Mebibytes(memory_left), " of memory left of ",
                        Mebibytes(capacity.memory_bytes()), ", ", Mebibytes(needed.memory_bytes()),
                        " are needed");
  }
  const uint64_t cpu_left =
      Left(uint64_t{capacity.cpu_milli()} * kCpuOversubscription, host.promised.cpu_milli());
  if (needed.cpu_milli() > cpu_left) {
    return absl::StrCat(name, " has ", cpu_left, " milli-CPU left to promise, ", needed.cpu_milli(),
                        " are needed");
  }
  // Last: alone among these, it may mend itself.
  if (demand.image_is_local) {
    const std::string digest = demand.image.substr(demand.image.find('@') + 1);
    const auto& images = host.facts.local_images();
    if (std::find(images.begin(), images.end(), digest) == images.end()) {
      return absl::StrCat(name, " does not have the local image ", demand.image);
    }
  }
  return std::nullopt;
}

}  // namespace berth::scheduler
