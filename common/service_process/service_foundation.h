#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/clock/system_clock.h"
#include "common/crypto/machine_identity.h"
#include "common/eventlog/event_log.h"
#include "common/executor/thread_executor.h"
#include "common/ids/random_id_source.h"
#include "common/rpc/access_subscription.h"
#include "common/rpc/access_view.h"

namespace berth {

// What a service stands on in its process, each on its own: made before it, and destroyed after it.
class ServiceFoundation {
 public:
  // The service's keys are in `folder`, or made there. The log outlives the foundation.
  static absl::StatusOr<std::unique_ptr<ServiceFoundation>> Make(const std::string& name,
                                                                 const std::string& folder,
                                                                 EventLog* log);

  const std::string& name() const { return name_; }
  // What the service keeps beside its log.
  const std::string& folder() const { return folder_; }
  EventLog* log() { return log_; }
  Executor* executor() { return executor_.get(); }
  const Clock* clock() const { return &clock_; }
  IdSource* ids() { return &ids_; }
  const MachineIdentity& identity() const { return identity_; }
  // Whom the service's gate knows: nobody before FollowAuth has brought it.
  rpc::AccessView* access() { return &access_; }

  // Keeps access() as auth says, from now on.
  void FollowAuth(std::shared_ptr<rpc::Channel> services);

  // Tells auth where clients reach this service, again and again until it was heard or is not so
  // any more; empty: where auth is.
  void Announce(const std::shared_ptr<rpc::Channel>& services, const std::string& address,
                std::function<bool()> still_so);

  // For a service in auth's process, each time that begins to lead: tells auth so, which is how the
  // channel of FollowAuth finds out that auth is here, and ends what still follows another process,
  // perhaps one that is stopped. Before FollowAuth it does nothing.
  void LeadsNow();

  // Ends the service's thread: before the service is destroyed.
  void Stop() { executor_->Stop(); }

 private:
  ServiceFoundation(const std::string& name, const std::string& folder, EventLog* log,
                    MachineIdentity identity);

  const std::string name_;
  const std::string folder_;
  EventLog* const log_;
  const MachineIdentity identity_;
  const SystemClock clock_;
  RandomIdSource ids_;
  rpc::AccessView access_;
  // Shared with calls that may end after this.
  const std::shared_ptr<ThreadExecutor> executor_;
  // On the executor only.
  std::shared_ptr<rpc::Channel> services_;
  std::unique_ptr<rpc::AccessSubscription> access_subscription_;
};

}  // namespace berth
