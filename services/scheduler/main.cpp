// berth-scheduler in a process of its own.

#include "common/metrics/metrics_server.h"
#include "common/service_process/service_process.h"
#include "services/scheduler/hosted_scheduler.h"

int main(int argc, char** argv) {
  berth::scheduler::LivenessPolicy liveness;
  return berth::ServiceMain({.name = "scheduler",
                             .http = berth::kSchedulerHttp,
                             .make =
                                 [&](berth::ServiceFoundation* on) {
                                   return berth::scheduler::HostScheduler(on, liveness);
                                 },
                             .read_settings =
                                 [&](berth::SettingsReader* reader) {
                                   berth::scheduler::ReadLivenessSettings(reader, &liveness);
                                 }},
                            argc, argv);
}
