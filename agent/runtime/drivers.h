#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/runtime/driver.h"
#include "agent/runtime/podman/podman_service.h"
#include "common/clock/clock.h"

namespace berth {

// What the drivers need to know of this host.
struct DriverSettings {
  std::string host;  // This host's id: a driver's instances carry it.
  PodmanServiceSettings podman;
};

// The driver of this name, such as "podman". Nothing is started or looked for before its first
// call. kInvalidArgument: there is no such driver; the message names those there are. `clock`
// outlives the driver.
absl::StatusOr<std::unique_ptr<Driver>> MakeDriver(absl::string_view name,
                                                   const DriverSettings& settings,
                                                   const Clock* clock);

std::vector<std::string> DriverNames();

}  // namespace berth
