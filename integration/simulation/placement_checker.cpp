#include "integration/simulation/placement_checker.h"

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/status/status_macros.h"

namespace berth::simulation {

absl::Status PlacementChecker::Take(const eventlog::v1::Record& record) {
  for (const eventlog::v1::StoredEvent& stored : record.events()) {
    scheduler::v1::Event event;
    BERTH_CHECK(event.ParseFromString(stored.payload()));
    if (event.has_instance_placed()) BERTH_RETURN_IF_ERROR(CheckPlaced(event.instance_placed()));
    state_.Apply(event);
  }
  return CheckMemory();
}

absl::Status PlacementChecker::CheckPlaced(const scheduler::v1::InstancePlaced& placed) const {
  const scheduler::v1::Assignment& assignment = placed.assignment();
  const std::string what = absl::StrCat(assignment.instance(), " was placed on ", placed.host());
  const auto found = state_.hosts().find(placed.host());
  if (found == state_.hosts().end()) {
    return absl::InternalError(absl::StrCat(what, ", which is no host"));
  }
  const scheduler::Host& host = found->second;
  if (host.machine.org() != assignment.environment().org()) {
    return absl::InternalError(absl::StrCat(what, ", which is another org's"));
  }
  if (host.machine.status() != auth::v1::MACHINE_STATUS_ACTIVE ||
      host.presence != scheduler::v1::HOST_PRESENCE_UP) {
    return absl::InternalError(absl::StrCat(what, ", which is not up"));
  }
  const config::v1::Placement& asked = assignment.process().placement();
  if (!asked.host().empty() && asked.host() != placed.host()) {
    return absl::InternalError(absl::StrCat(what, ", and its manifest asks for ", asked.host()));
  }
  for (const auto& [label, value] : asked.require()) {
    const auto has = host.labels.find(label);
    if (has == host.labels.end() || has->second != value) {
      return absl::InternalError(absl::StrCat(what, ", which has no label ", label, "=", value));
    }
  }
  return absl::OkStatus();
}

absl::Status PlacementChecker::CheckMemory() const {
  std::map<std::string, uint64_t> taken;
  for (const auto& [key, environment] : state_.environments()) {
    for (const auto& [id, instance] : environment.instances) {
      taken[instance.host] += instance.assignment.process().resources().memory_bytes();
    }
  }
  for (const auto& [name, host] : state_.hosts()) {
    if (taken[name] > host.facts.capacity().memory_bytes()) {
      return absl::InternalError(absl::StrCat(name, " has ", host.facts.capacity().memory_bytes(),
                                              " bytes of memory, and ", taken[name],
                                              " are promised"));
    }
    if (taken[name] != host.promised.memory_bytes()) {
      return absl::InternalError(absl::StrCat(name, " counts ", host.promised.memory_bytes(),
                                              " bytes of memory as promised, and its instances ",
                                              "were promised ", taken[name]));
    }
  }
  return absl::OkStatus();
}

}  // namespace berth::simulation
