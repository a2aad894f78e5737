#include "services/scheduler/hosted_scheduler.h"

#include <memory>

#include "services/scheduler/scheduler_metrics.h"
#include "services/scheduler/service.h"

namespace berth::scheduler {

HostedService HostScheduler(ServiceFoundation* on, const LivenessPolicy& liveness) {
  const auto scheduler = std::make_shared<Service>(on->log(), on->executor(), on->clock(),
                                                   on->ids(), on->access(), liveness);
  HostedService hosted =
      HostService(scheduler, [on](Service* service, const std::shared_ptr<rpc::Channel>& services) {
        service->Follow({.config = services,
                         .auth = services,
                         .edge_router = services,
                         .secrets = services,
                         .grant_key = &on->identity().signing_key()});
      });
  hosted.measure = [scheduler](Metrics* metrics) {
    return std::make_shared<SchedulerMetrics>(metrics, scheduler.get());
  };
  return hosted;
}

void ReadLivenessSettings(SettingsReader* reader, LivenessPolicy* liveness) {
  SettingsReader& section = reader->Section("liveness");
  section.Optional("stale_after", &liveness->stale_after, kSilenceMin);
  section.Optional("lost_after", &liveness->lost_after, kSilenceMin);
  if (liveness->lost_after <= liveness->stale_after) {
    section.Refuse("lost_after", "has to be longer than stale_after");
  }
}

}  // namespace berth::scheduler
