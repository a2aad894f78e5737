#include "integration/simulation/hosted_services.h"

#include <memory>
#include <utility>

#include "integration/simulation/identities.h"
#include "services/config/service.h"
#include "services/scheduler/service.h"

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

ServiceHost::Make MakeScheduler(Network* network, std::string config, std::string others,
                                const SigningKey* grant_key) {
  return [=](const Foundation& on) {
    const auto service = std::make_shared<scheduler::Service>(on.log, on.executor, on.life->clock(),
                                                              on.life->ids(), on.access);
    Served served = Serve(on, service);
    served.follow = [=, life = on.life] {
      const rpc::Credentials credentials = ServiceMember("scheduler").credentials;
      const std::shared_ptr<rpc::Channel> to_others = network->Connect(life, credentials, {others});
      service->Follow({.config = network->Connect(life, credentials, {config}),
                       .auth = to_others,
                       .edge_router = to_others,
                       .secrets = to_others,
                       .grant_key = grant_key});
    };
    return served;
  };
}

}  // namespace berth::simulation
