#pragma once

#include <set>
#include <string>

#include "berth/scheduler/v1/scheduler.pb.h"
#include "services/scheduler/state.h"

namespace berth::scheduler {

// What edges say of the ways to instances. Pure.

// Whether the edge could not connect to the instance when it last tried.
bool IsMissed(const v1::ReportEdgeRequest& report, const std::string& instance);

// The hosts with instances that are sent connections to, none of which the edge could connect to:
// there is no way to them from its machine, most likely.
std::set<std::string> HostsMissed(const State& state, const v1::ReportEdgeRequest& report);

// Adds what edges could not connect to, to what people are shown.
void ShowMissed(const State& state, const EdgeReports& reports,
                v1::GetEnvironmentStatusResponse* status);
void ShowMissed(const State& state, const EdgeReports& reports, v1::ListHostsResponse* hosts);

}  // namespace berth::scheduler
