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

  // `started` gets OK once calls can be served, or refused because another process leads; others
  // are led to `address`, HOST:PORT, where this one does.
  void Start(std::string address, std::function<void(absl::Status)> started);

  // Begins to follow config and the scheduler over these channels, while this process leads. After
  // Start.
  void Follow(std::shared_ptr<rpc::Channel> config, std::shared_ptr<rpc::Channel> scheduler);

  rpc::Dispatcher& dispatcher() { return dispatcher_; }

  // For who measures it.
  LogWriter& writer() { return state_.writer(); }

 private:
  void AddHandlers();
  void FollowOthers();

  Executor* const executor_;
  EventSourced<State> state_;
  rpc::StateDispatcher<State> dispatcher_;

  // On the executor only.
  rpc::Importer importer_;
  std::shared_ptr<rpc::Channel> config_;     // nullptr: not a member yet.
  std::shared_ptr<rpc::Channel> scheduler_;  // As config_.
};

}  // namespace berth::edge_router
