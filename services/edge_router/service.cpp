#include "services/edge_router/service.h"

#include <utility>

namespace berth::edge_router {
namespace {

constexpr char kServicePrincipal[] = "service/edge-router";

}  // namespace

Service::Service(EventLog* log, Executor* executor, const Clock* clock, IdSource* ids,
                 rpc::AccessView* access)
    : executor_(executor),
      state_(State::kStream, LogWriter::Limits(), log, executor, clock, ids,
             {[this](const State&, uint64_t) { FollowOthers(); }, nullptr,
              [this] { importer_.Stop(); }}),
      dispatcher_(v1::ListRoutesRequest::descriptor()->file()->service(0), &state_, access,
                  executor, clock),
      importer_(State::kStream, executor, ids,
                [this](const Import& import, std::function<void(absl::Status)> done) {
                  CommandOrigin origin;
                  origin.principal = kServicePrincipal;
                  origin.method = "Import";
                  origin.cause.set_stream(import.source);
                  origin.cause.set_position(import.revision.position());
                  state_.Execute<v1::ListRoutesResponse>(
                      origin, Recorded::kOnChange,
                      [import](const State& state, const DecisionContext& context) {
                        return state.Decide(import, context);
                      },
                      [done](absl::StatusOr<v1::ListRoutesResponse> imported) {
                        done(imported.status());
                      });
                }) {
  AddHandlers();
}

void Service::Start(std::string address, std::function<void(absl::Status)> started) {
  state_.Start({kServicePrincipal, std::move(address)}, std::move(started));
}

void Service::Follow(std::shared_ptr<rpc::Channel> config,
                     std::shared_ptr<rpc::Channel> scheduler) {
  executor_->Post([this, config = std::move(config), scheduler = std::move(scheduler)] {
    config_ = config;
    scheduler_ = scheduler;
    FollowOthers();
  });
}

void Service::FollowOthers() {
  if (config_ == nullptr || !state_.writer().Leading().ok()) return;
  importer_.Follow({{State::kConfigSource,
                     rpc::Subscription::Over<config::v1::WatchEnvironmentsRequest>(config_)},
                    {State::kSchedulerSource,
                     rpc::Subscription::Over<scheduler::v1::WatchEndpointsRequest>(scheduler_)}});
}

void Service::AddHandlers() {
  dispatcher_.Query<v1::ListRoutesRequest, v1::ListRoutesResponse>(
      [](const State& state, const v1::ListRoutesRequest& request) {
        return state.RoutesOf(request.org());
      });
  dispatcher_.Command<v1::CreateRouteRequest, v1::CreateRouteResponse>();
  dispatcher_.Command<v1::DeleteRouteRequest, v1::DeleteRouteResponse>();
  dispatcher_.Streaming<v1::WatchTableRequest, watch::v1::WatchResponse>(
      [this](const rpc::Call&, const v1::WatchTableRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        executor_->Post([this, request, stream] {
          if (absl::Status synced = importer_.Synced(); !synced.ok()) return stream->End(synced);
          rpc::ServeWatch(&state_.writer(), State::kTableTopic, request, stream);
        });
      });
  dispatcher_.Streaming<v1::WatchRouteStatesRequest, watch::v1::WatchResponse>(
      [this](const rpc::Call&, const v1::WatchRouteStatesRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        executor_->Post([this, request, stream] {
          if (absl::Status synced = importer_.Synced(); !synced.ok()) return stream->End(synced);
          rpc::ServeWatch(&state_.writer(), State::kRouteStatesTopic, request, stream);
        });
      });
}

}  // namespace berth::edge_router
