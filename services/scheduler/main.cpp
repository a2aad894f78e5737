// berth-scheduler in a process of its own.

#include <memory>

#include "common/service_process/service_process.h"
#include "services/scheduler/service.h"

namespace berth::scheduler {
namespace {

HostedService Make(ServiceFoundation* on) {
  return HostService(
      std::make_shared<Service>(on->log(), on->executor(), on->clock(), on->ids(), on->access()),
      [on](Service* service, const std::shared_ptr<rpc::Channel>& services) {
        service->Follow({.config = services,
                         .auth = services,
                         .edge_router = services,
                         .secrets = services,
                         .grant_key = &on->identity().signing_key()});
      });
}

}  // namespace
}  // namespace berth::scheduler

int main(int argc, char** argv) {
  return berth::ServiceMain("scheduler", argc, argv, berth::scheduler::Make);
}
