// berth-secrets in a process of its own, with a key ring of its own.

#include <memory>
#include <utility>

#include "common/crypto/key_ring.h"
#include "common/metrics/metrics_server.h"
#include "common/service_process/service_process.h"
#include "common/status/status_macros.h"
#include "services/secrets/service.h"

namespace berth::secrets {
namespace {

// A service and the keys that it wraps its rows with.
struct WithKeyRing {
  WithKeyRing(KeyRing ring, ServiceFoundation* on)
      : key_ring(std::move(ring)),
        service({on->log(), on->executor(), on->clock(), on->ids(), on->access(), &key_ring}) {}

  const KeyRing key_ring;
  Service service;
};

absl::StatusOr<HostedService> Make(ServiceFoundation* on) {
  BERTH_ASSIGN_OR_RETURN(KeyRing ring, KeyRing::LoadOrCreate(on->folder() + "/key-ring"));
  const auto made = std::make_shared<WithKeyRing>(std::move(ring), on);
  return HostService(std::shared_ptr<Service>(made, &made->service));
}

}  // namespace
}  // namespace berth::secrets

int main(int argc, char** argv) {
  return berth::ServiceMain({"secrets", berth::kSecretsHttp, berth::secrets::Make}, argc, argv);
}
