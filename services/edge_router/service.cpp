#include "services/edge_router/service.h"

#include <utility>

#include "common/log/log.h"
#include "common/status/error_details.h"

namespace berth::edge_router {
namespace {

constexpr char kStream[] = "edge-router";
constexpr char kServicePrincipal[] = "service/edge-router";

absl::Status NotSynced() {
  return WithRetryDelay(
      WithReason(absl::UnavailableError("the edge-router has not heard yet what config and the "
                                        "scheduler say; try again"),
                 reason::kNotReady),
      absl::Milliseconds(200));
}

}  // namespace

Service::Service(EventLog* log, Executor* executor, const Clock* clock, IdSource* ids,
                 rpc::AccessView* access)
    : executor_(executor),
      ids_(ids),
      state_(kStream, LogWriter::Limits(), log, executor, clock, ids),
      dispatcher_(v1::ListRoutesRequest::descriptor()->file()->service(0), access, executor, clock,
                  [this](CommandOrigin origin, absl::Status refusal,
                         std::function<void(absl::Status)> done) {
                    state_.RecordRefusal(std::move(origin), std::move(refusal), std::move(done));
                  }) {
  AddHandlers();
}

void Service::Start(std::function<void(absl::Status)> started) {
  state_.Start(kServicePrincipal, std::move(started));
}

void Service::Follow(std::shared_ptr<rpc::Channel> config,
                     std::shared_ptr<rpc::Channel> scheduler) {
  executor_->Post([this, config = std::move(config), scheduler = std::move(scheduler)] {
    auto follow = [this](const std::string& source, rpc::Subscription::Opener opener) {
      imports_[source] = std::make_unique<rpc::Subscription>(
          source, std::move(opener), WatchClient(), executor_, ids_,
          [this, source](const WatchClient::Update& update) { ImportUpdate(source, update); });
      imports_[source]->Start();
    };
    follow(State::kConfigSource, [config](const auto& resume, auto received, auto ended) {
      config::v1::WatchEnvironmentsRequest request;
      if (resume.has_value()) *request.mutable_resume() = *resume;
      return config->Open<watch::v1::WatchResponse>(request, received, ended);
    });
    follow(State::kSchedulerSource, [scheduler](const auto& resume, auto received, auto ended) {
      scheduler::v1::WatchEndpointsRequest request;
      if (resume.has_value()) *request.mutable_resume() = *resume;
      return scheduler->Open<watch::v1::WatchResponse>(request, received, ended);
    });
  });
}

void Service::ImportUpdate(const std::string& source, const WatchClient::Update& update) {
  if (!update.revision.has_value()) return;
  Import import;
  import.source = source;
  import.revision = *update.revision;
  import.snapshot = update.snapshot;
  const WatchClient::Entries& entries = imports_.at(source)->client().entries();
  for (const std::string& key : update.keys) {
    const auto entry = entries.find(key);
    import.changes[key] =
        entry == entries.end() ? std::nullopt : std::optional<std::string>(entry->second);
  }
  CommandOrigin origin;
  origin.principal = kServicePrincipal;
  origin.method = "Import";
  state_.Execute<v1::ListRoutesResponse>(
      origin, Recorded::kOnChange,
      [import](const State& state, const DecisionContext&) { return state.Decide(import); },
      [this, source](absl::StatusOr<v1::ListRoutesResponse> imported) {
        if (imported.ok()) {
          synced_.insert(source);
          return;
        }
        // The watch is begun anew: its snapshot brings what was not imported.
        LogWarning("an import failed", {{"source", source}, {"why", imported.status().message()}});
        imports_.at(source)->Restart();
      });
}

void Service::AddHandlers() {
  dispatcher_.Unary<v1::ListRoutesRequest, v1::ListRoutesResponse>(
      [this](const rpc::Call&, const v1::ListRoutesRequest& request, auto reply) {
        state_.Read<v1::ListRoutesResponse>(
            [org = request.org()](const State& state) -> absl::StatusOr<v1::ListRoutesResponse> {
              return state.RoutesOf(org);
            },
            std::move(reply));
      });
  dispatcher_.Streaming<v1::WatchTableRequest, watch::v1::WatchResponse>(
      [this](const rpc::Call&, const v1::WatchTableRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        executor_->Post([this, request, stream] {
          if (synced_.size() < kSources) return stream->End(NotSynced());
          rpc::ServeWatch(&state_.writer(), State::kTableTopic, request, stream);
        });
      });
  dispatcher_.Streaming<v1::WatchRouteStatesRequest, watch::v1::WatchResponse>(
      [this](const rpc::Call&, const v1::WatchRouteStatesRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        executor_->Post([this, request, stream] {
          if (synced_.size() < kSources) return stream->End(NotSynced());
          rpc::ServeWatch(&state_.writer(), State::kRouteStatesTopic, request, stream);
        });
      });
}

}  // namespace berth::edge_router
