#include "integration/simulation/hosted_services.h"

#include <memory>
#include <utility>

#include "services/config/service.h"

namespace berth::simulation {

Served MakeConfig(const Foundation& on) {
  const auto service = std::make_shared<config::Service>(on.log, on.executor, on.life->clock(),
                                                         on.life->ids(), on.access);
  return {service, &service->dispatcher(),
          [service, address = on.life->name()](std::function<void(absl::Status)> started) {
            service->Start(address, std::move(started));
          },
          nullptr};
}

}  // namespace berth::simulation
