#include "agent/runtime/drivers.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/runtime/podman/podman_driver.h"

namespace berth {
namespace {

std::unique_ptr<Driver> MakePodman(const DriverSettings& settings, const Clock* clock) {
  return std::make_unique<PodmanDriver>(settings.podman, settings.host, clock);
}

struct Entry {
  absl::string_view name;
  std::unique_ptr<Driver> (*make)(const DriverSettings&, const Clock*);
};

// Every driver there is.
constexpr Entry kDrivers[] = {
    {"podman", MakePodman},
};

}  // namespace

absl::StatusOr<std::unique_ptr<Driver>> MakeDriver(absl::string_view name,
                                                   const DriverSettings& settings,
                                                   const Clock* clock) {
  for (const Entry& entry : kDrivers) {
    if (entry.name == name) return entry.make(settings, clock);
  }
  return absl::InvalidArgumentError(absl::StrCat("there is no driver \"", name, "\"; there is ",
                                                 absl::StrJoin(DriverNames(), ", ")));
}

std::vector<std::string> DriverNames() {
  std::vector<std::string> names;
  for (const Entry& entry : kDrivers) names.emplace_back(entry.name);
  return names;
}

}  // namespace berth
