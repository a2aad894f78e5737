#pragma once

#include <functional>

#include "absl/status/status.h"
#include "common/eventlog/event_sourced.h"
#include "common/rpc/access_view.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/state_dispatcher.h"
#include "services/config/state.h"

namespace berth::config {

// gRPC glue of berth-config: who calls, execute, reply. The rules are State's. What is passed in
// outlives the service, and the executor is stopped before it is destroyed.
class Service {
 public:
  Service(EventLog* log, Executor* executor, const Clock* clock, IdSource* ids,
          rpc::AccessView* access);

  // `started` gets OK once calls can be served, or refused because another process leads; others
  // are led to `address`, HOST:PORT, where this one does.
  void Start(std::string address, std::function<void(absl::Status)> started);

  rpc::Dispatcher& dispatcher() { return dispatcher_; }

  // For who measures it.
  LogWriter& writer() { return state_.writer(); }

 private:
  void AddHandlers();

  EventSourced<State> state_;
  rpc::StateDispatcher<State> dispatcher_;
};

}  // namespace berth::config
