#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "common/eventlog/event_sourced.h"
#include "common/rpc/access_view.h"
#include "common/rpc/channel.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/importer.h"
#include "common/rpc/state_dispatcher.h"
#include "services/edge_router/state.h"

namespace berth::edge_router {

// gRPC glue of berth-edge-router: imports what config and the scheduler say, and serves tables. The
// rules are State's. What is passed in outlives the service, and the executor is stopped before it
// is destroyed.
class Service {
 public:
  Service(EventLog* log, Executor* executor, const Clock* clock, IdSource* ids,
          rpc::AccessView* access);

  // `started` gets OK once calls can be served.
  void Start(std::function<void(absl::Status)> started);

  // Begins to follow config and the scheduler over these channels. After Start.
  void Follow(std::shared_ptr<rpc::Channel> config, std::shared_ptr<rpc::Channel> scheduler);

  rpc::Dispatcher& dispatcher() { return dispatcher_; }

  // For who measures it.
  LogWriter& writer() { return state_.writer(); }

 private:
  void AddHandlers();

  Executor* const executor_;
  EventSourced<State> state_;
  rpc::StateDispatcher<State> dispatcher_;

  rpc::Importer importer_;  // On the executor only.
};

}  // namespace berth::edge_router
