// berth-edge-router in a process of its own.

#include <memory>

#include "common/metrics/metrics_server.h"
#include "common/service_process/service_process.h"
#include "services/edge_router/service.h"

namespace berth::edge_router {
namespace {

HostedService Make(ServiceFoundation* on) {
  return HostService(
      std::make_shared<Service>(on->log(), on->executor(), on->clock(), on->ids(), on->access()),
      [](Service* service, std::shared_ptr<rpc::Channel> services) {
        service->Follow(services, services);
      });
}

}  // namespace
}  // namespace berth::edge_router

int main(int argc, char** argv) {
  return berth::ServiceMain({"edge-router", berth::kEdgeRouterHttp, berth::edge_router::Make}, argc,
                            argv);
}
