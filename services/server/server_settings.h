#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/service_process/service_settings.h"
#include "services/scheduler/liveness.h"

namespace berth {

// What a berth-server's settings say.
struct ServerSettings {
  ServingSettings serving;
  scheduler::LivenessPolicy liveness;
  std::string state;  // The folder everything is kept in.
};

// kInvalidArgument: the message names each mistake with its place.
absl::StatusOr<ServerSettings> LoadServerSettings(const std::string& path);

}  // namespace berth
