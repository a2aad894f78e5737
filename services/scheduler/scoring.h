#pragma once

#include <string>
#include <tuple>

#include "services/scheduler/state.h"

namespace berth::scheduler {

// How well a feasible host suits a replica: lower is better, compared field by field. The name
// comes last so that equal hosts are always taken in the same order.
using Score = std::tuple<size_t, int64_t, std::string>;

// Prefers the host with the fewest replicas of the same process type of the same environment,
// unless the manifest does not want them spread; then the one with the least memory promised.
Score ScoreHost(const std::string& name, const Host& host, const Environment& environment,
                const std::string& process_type);

}  // namespace berth::scheduler
