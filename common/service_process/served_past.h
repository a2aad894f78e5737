#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/clock/system_clock.h"
#include "common/executor/thread_executor.h"
#include "common/history/log_service.h"
#include "common/history/past_states.h"
#include "common/history/retention.h"
#include "common/service_process/open_log.h"
#include "common/service_process/service_process.h"

namespace berth {

// The past of a process's services, served beside them on a thread of its own, and cut there as
// the settings say.
class ServedPast {
 public:
  struct Named {
    std::string name;
    HostedService service;
  };

  // Before the services are started. `access` outlives this, as do the services; `folder` is where
  // their logs are.
  ServedPast(const LogSettings& settings, const std::string& folder,
             const std::vector<Named>& services, rpc::AccessView* access);

  rpc::Dispatcher* dispatcher() { return &service_.dispatcher(); }

  // Ends its thread: once no more calls come, and before the services end.
  void Stop() { executor_.Stop(); }

 private:
  ServedPast(const std::vector<LogSource>& sources, int retention_days, rpc::AccessView* access);

  const SystemClock clock_;
  ThreadExecutor executor_;
  LogService service_;
  PastStates states_;
  std::optional<Retention> retention_;
};

}  // namespace berth
