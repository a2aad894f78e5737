#include "services/server/server_settings.h"

#include "common/metrics/metrics_server.h"
#include "common/settings/settings.h"
#include "common/status/status_macros.h"
#include "services/scheduler/hosted_scheduler.h"

namespace berth {

absl::StatusOr<ServerSettings> LoadServerSettings(const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadSettingsFile(path));
  ServerSettings settings;
  settings.serving.http = kServerHttp;
  SettingsReader reader(text, path);
  reader.Required("state", &settings.state);
  ReadServingSettings(&reader, &settings.serving);
  scheduler::ReadLivenessSettings(&reader, &settings.liveness);
  BERTH_RETURN_IF_ERROR(reader.Finish());
  return settings;
}

}  // namespace berth
