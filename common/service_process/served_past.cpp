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
    : executor_("history"),
      service_(SourcesOf(settings, folder, services), access, &executor_, &clock_),
      states_(SourcesOf(settings, folder, services), &executor_, &clock_) {}

}  // namespace berth
