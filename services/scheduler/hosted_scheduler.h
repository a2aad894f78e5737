#pragma once

#include "common/service_process/service_process.h"
#include "common/settings/settings.h"
#include "services/scheduler/liveness.h"

namespace berth::scheduler {

// The scheduler as part of a process, be it alone there or beside the other services.
HostedService HostScheduler(ServiceFoundation* on, const LivenessPolicy& liveness);

// Takes the section `liveness` out of the reader.
void ReadLivenessSettings(SettingsReader* reader, LivenessPolicy* liveness);

}  // namespace berth::scheduler
