#include "integration/simulation/hosted_services.h"

#include <memory>
#include <utility>

#include "integration/simulation/identities.h"
#include "services/config/service.h"
#include "services/edge_router/service.h"
#include "services/scheduler/service.h"
#include "services/secrets/service.h"

namespace berth::simulation {
namespace {

// What every service has in common: where it serves is the name of its process.
template <typename Service>
Served Serve(const Foundation& on, const std::shared_ptr<Service>& service) {
  return {service, &service->dispatcher(), &service->writer(),
          [service, address = on.life->name()](std::function<void(absl::Status)> started) {
            service->Start(address, std::move(started));
          },
          nullptr};
}

}  // namespace

Served MakeConfig(const Foundation& on) {
  return Serve(on, std::make_shared<config::Service>(on.log, on.executor, on.life->clock(),
                                                     on.life->ids(), on.access));
}

ServiceHost::Make MakeSecrets(const KeyRing* key_ring) {
  return [key_ring](const Foundation& on) {
    return Serve(on,
                 std::make_shared<secrets::Service>(secrets::Dependencies{
                     on.log, on.executor, on.life->clock(), on.life->ids(), on.access, key_ring}));
  };
}

ServiceHost::Make MakeEdgeRouter(Network* network, Platform platform) {
  return [=](const Foundation& on) {
    const auto service = std::make_shared<edge_router::Service>(
        on.log, on.executor, on.life->clock(), on.life->ids(), on.access);
    Served served = Serve(on, service);
    served.follow = [=, life = on.life] {
      const rpc::Credentials credentials = ServiceMember("edge-router").credentials;
      service->Follow(network->Connect(life, credentials, platform.config),
                      network->Connect(life, credentials, platform.scheduler));
    };
    return served;
  };
}

ServiceHost::Make MakeScheduler(Network* network, Platform platform, const SigningKey* grant_key) {
  return [=](const Foundation& on) {
    const auto service = std::make_shared<scheduler::Service>(on.log, on.executor, on.life->clock(),
                                                              on.life->ids(), on.access);
    Served served = Serve(on, service);
    served.follow = [=, life = on.life] {
      const rpc::Credentials credentials = ServiceMember("scheduler").credentials;
      service->Follow({.config = network->Connect(life, credentials, platform.config),
                       .auth = network->Connect(life, credentials, platform.auth),
                       .edge_router = network->Connect(life, credentials, platform.edge_router),
                       .secrets = network->Connect(life, credentials, platform.secrets),
                       .grant_key = grant_key});
    };
    return served;
  };
}

}  // namespace berth::simulation
