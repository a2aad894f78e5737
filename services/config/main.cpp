// berth-config in a process of its own.

#include <memory>

#include "common/metrics/metrics_server.h"
#include "common/service_process/service_process.h"
#include "services/config/service.h"

namespace berth::config {
namespace {

HostedService Make(ServiceFoundation* on) {
  return HostService(
      std::make_shared<Service>(on->log(), on->executor(), on->clock(), on->ids(), on->access()));
}

}  // namespace
}  // namespace berth::config

int main(int argc, char** argv) {
  return berth::ServiceMain({"config", berth::kConfigHttp, berth::config::Make}, argc, argv);
}
