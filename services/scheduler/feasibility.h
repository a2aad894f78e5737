#pragma once

#include <optional>
#include <string>

#include "berth/config/v1/manifest.pb.h"
#include "services/scheduler/state.h"

namespace berth::scheduler {

// CPU is promised this many times over: it is soft, and most processes idle. Memory is not.
inline constexpr uint32_t kCpuOversubscription = 4;

// What one more replica needs of a host.
struct Demand {
  std::string org;
  const config::v1::Process* process;
  std::string image;  // NAME@sha256:DIGEST.
  bool image_is_local;
};

// Why the host cannot take the replica, with the numbers; nullopt: it can.
std::optional<std::string> WhyInfeasible(const std::string& name, const Host& host,
                                         const Demand& demand);

}  // namespace berth::scheduler
