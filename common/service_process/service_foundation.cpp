#include "common/service_process/service_foundation.h"

#include <utility>

#include "berth/auth/v1/auth.pb.h"
#include "common/daemon/daemon.h"
#include "common/log/log.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr absl::Duration kAnnounceRetryDelay = absl::Seconds(2);

void AnnounceUntilHeard(const std::shared_ptr<rpc::Channel>& services,
                        const std::shared_ptr<ThreadExecutor>& executor, const std::string& name,
                        const std::string& address, const std::function<bool()>& still_so) {
  auth::v1::AnnounceServiceRequest request;
  request.set_address(address);
  services->CallAsync<auth::v1::AnnounceServiceResponse>(
      request, rpc::CallOptions(), [=](absl::StatusOr<auth::v1::AnnounceServiceResponse> response) {
        if (response.ok()) return;
        LogWarning("where the service is was not announced and is tried again",
                   {{"service", name}, {"why", response.status().message()}});
        executor->PostAfter(kAnnounceRetryDelay, [=] {
          if (still_so()) AnnounceUntilHeard(services, executor, name, address, still_so);
        });
      });
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServiceFoundation>> ServiceFoundation::Make(
    const std::string& name, const std::string& folder, EventLog* log) {
  BERTH_RETURN_IF_ERROR(MakeFolder(folder));
  BERTH_ASSIGN_OR_RETURN(MachineIdentity identity,
                         MachineIdentity::LoadOrCreate(folder + "/identity"));
  return std::unique_ptr<ServiceFoundation>(
      new ServiceFoundation(name, folder, log, std::move(identity)));
}

ServiceFoundation::ServiceFoundation(const std::string& name, const std::string& folder,
                                     EventLog* log, MachineIdentity identity)
    : name_(name),
      folder_(folder),
      log_(log),
      identity_(std::move(identity)),
      executor_(std::make_shared<ThreadExecutor>(name)) {}

void ServiceFoundation::FollowAuth(std::shared_ptr<rpc::Channel> services) {
  executor_->Post([this, services = std::move(services)] {
    services_ = services;
    access_subscription_ = std::make_unique<rpc::AccessSubscription>(
        rpc::AccessSubscription::Over(services), &access_, executor_.get(), &ids_);
    access_subscription_->Start();
  });
}

void ServiceFoundation::LeadsNow() {
  executor_->Post([this] {
    if (services_ == nullptr) return;
    AnnounceUntilHeard(services_, executor_, name_, "", [] { return true; });
  });
}

void ServiceFoundation::Announce(const std::shared_ptr<rpc::Channel>& services,
                                 const std::string& address, std::function<bool()> still_so) {
  AnnounceUntilHeard(services, executor_, name_, address, still_so);
}

}  // namespace berth
