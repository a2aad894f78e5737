#pragma once

#include <nlohmann/json_fwd.hpp>

#include "agent/runtime/driver.h"

namespace berth {

// What Podman's answer to `info` says about the host, and what of it stands in the way.
DriverFacts FactsFromInfo(const nlohmann::json& info);

}  // namespace berth
