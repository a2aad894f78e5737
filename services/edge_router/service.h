#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "common/eventlog/event_sourced.h"
#include "common/rpc/access_view.h"
#include "common/rpc/channel.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/subscription.h"
#include "services/edge_router/state.h"

namespace berth::edge_router {

// gRPC glue of berth-edge-router: imports what config and the scheduler say, and serves tables. The
// rules are State's. What is passed in outlives the service, and the executor is stopped before it
// is destroyed.
class Service {
 public:
  static constexpr size_t kSources = 2;  // Services whose watches are imported.

  Service(EventLog* log, Executor* executor, const Clock* clock, IdSource* ids,
          rpc::AccessView* access);

  // `started` gets OK once calls can be served.
  void Start(std::function<void(absl::Status)> started);

  // Begins to follow config and the scheduler over these channels. After Start.
  void Follow(std::shared_ptr<rpc::Channel> config, std::shared_ptr<rpc::Channel> scheduler);

  rpc::Dispatcher& dispatcher() { return dispatcher_; }

 private:
  void AddHandlers();
  void ImportUpdate(const std::string& source, const WatchClient::Update& update);

  Executor* const executor_;
  IdSource* const ids_;
  EventSourced<State> state_;
  rpc::Dispatcher dispatcher_;

  // On the executor only.
  std::map<std::string, std::unique_ptr<rpc::Subscription>> imports_;  // By source.
  std::set<std::string> synced_;  // Sources whose watch has synced since the start.
};

}  // namespace berth::edge_router
