#include "common/service_process/served_past.h"

namespace berth {
namespace {

std::vector<LogSource> SourcesOf(const LogSettings& settings, const std::string& folder,
                                 const std::vector<ServedPast::Named>& services) {
  std::vector<LogSource> sources;
  for (const ServedPast::Named& each : services) {
    sources.push_back(
        {each.name, each.service.writer, each.service.dispatcher,
         [settings, folder, name = each.name] { return OpenLogReader(settings, folder, name); }});
  }
  return sources;
}

}  // namespace

ServedPast::ServedPast(const LogSettings& settings, const std::string& folder,
                       const std::vector<Named>& services, rpc::AccessView* access)
    : ServedPast(SourcesOf(settings, folder, services), settings.retention_days, access) {}

ServedPast::ServedPast(const std::vector<LogSource>& sources, int retention_days,
                       rpc::AccessView* access)
    : executor_("history"),
      service_(sources, access, &executor_, &clock_),
      states_(sources, &executor_, &clock_) {
  if (retention_days == 0) return;
  retention_.emplace(sources, retention_days * absl::Hours(24), &executor_, &clock_);
}

}  // namespace berth
