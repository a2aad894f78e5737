#include "services/scheduler/reach.h"

#include <algorithm>

namespace berth::scheduler {

bool IsMissed(const v1::ReportEdgeRequest& report, const std::string& instance) {
  const auto& missed = report.not_reached();
  return std::find(missed.begin(), missed.end(), instance) != missed.end();
}

std::set<std::string> HostsMissed(const State& state, const v1::ReportEdgeRequest& report) {
  std::set<std::string> missed;
  std::set<std::string> reached;
  for (const auto& [key, environment] : state.environments()) {
    for (const auto& [id, instance] : environment.instances) {
      if (instance.observed.phase() != v1::PHASE_READY ||
          !IsRouted(environment, instance.assignment.process_type())) {
        continue;
      }
      (IsMissed(report, id) ? missed : reached).insert(instance.host);
    }
  }
  for (const std::string& host : reached) missed.erase(host);
  return missed;
}

void ShowMissed(const State& state, const EdgeReports& reports,
                v1::GetEnvironmentStatusResponse* status) {
  for (const auto& [edge, report] : reports) {
    if (!state.edges().contains(edge)) continue;
    for (const v1::Instance& instance : status->instances()) {
      if (!IsMissed(report, instance.id())) continue;
      (*status->mutable_not_reached_by())[instance.id()].add_names(edge);
    }
  }
}

void ShowMissed(const State& state, const EdgeReports& reports, v1::ListHostsResponse* hosts) {
  for (const auto& [edge, report] : reports) {
    if (!state.edges().contains(edge)) continue;
    const std::set<std::string> missed = HostsMissed(state, report);
    for (v1::Host& host : *hosts->mutable_hosts()) {
      if (missed.contains(host.name())) host.add_not_reached_by(edge);
    }
  }
}

}  // namespace berth::scheduler
