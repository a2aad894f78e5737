#include "services/config/service.h"

#include <utility>

#include "common/manifest/manifest.h"

namespace berth::config {
namespace {

constexpr char kServicePrincipal[] = "service/config";
constexpr char kManifestFileDefault[] = "berth.yaml";

}  // namespace

Service::Service(EventLog* log, Executor* executor, const Clock* clock, IdSource* ids,
                 rpc::AccessView* access)
    : state_(State::kStream, LogWriter::Limits(), log, executor, clock, ids),
      dispatcher_(v1::DeployRequest::descriptor()->file()->service(0), access, executor, clock,
                  [this](CommandOrigin origin, absl::Status refusal,
                         std::function<void(absl::Status)> done) {
                    state_.RecordRefusal(std::move(origin), std::move(refusal), std::move(done));
                  }) {
  AddHandlers();
}

void Service::Start(std::function<void(absl::Status)> started) {
  state_.Start(kServicePrincipal, std::move(started));
}

template <typename Request, typename Response>
void Service::Command() {
  dispatcher_.Unary<Request, Response>(
      [this](const rpc::Call& call, const Request& request, auto reply) {
        state_.Execute<Response>(
            call.origin, Recorded::kAlways,
            [request](const State& state, const DecisionContext& context) {
              return state.Decide(request, context);
            },
            std::move(reply));
      });
}

void Service::AddHandlers() {
  dispatcher_.Unary<v1::DeployRequest, v1::DeployResponse>(
      [this](const rpc::Call& call, const v1::DeployRequest& request, auto reply) {
        // Parsed before it queues: the writer does nothing that takes long.
        absl::StatusOr<v1::Manifest> manifest = ParseManifest(
            request.manifest_yaml(),
            request.manifest_file().empty() ? kManifestFileDefault : request.manifest_file());
        state_.Execute<v1::DeployResponse>(
            call.origin, Recorded::kAlways,
            [request, manifest = std::move(manifest)](
                const State& state,
                const DecisionContext& context) -> Decided<v1::Event, v1::DeployResponse> {
              if (!manifest.ok()) return manifest.status();
              return state.Decide(request, *manifest, context);
            },
            std::move(reply));
      });
  Command<v1::RollbackRequest, v1::RollbackResponse>();
  Command<v1::ScaleRequest, v1::ScaleResponse>();
  Command<v1::DeleteEnvironmentRequest, v1::DeleteEnvironmentResponse>();
  Command<v1::ReportRolloutRequest, v1::ReportRolloutResponse>();
  dispatcher_.Unary<v1::ListEnvironmentsRequest, v1::ListEnvironmentsResponse>(
      [this](const rpc::Call&, const v1::ListEnvironmentsRequest& request, auto reply) {
        state_.Read<v1::ListEnvironmentsResponse>(
            [org = request.org()](
                const State& state) -> absl::StatusOr<v1::ListEnvironmentsResponse> {
              v1::ListEnvironmentsResponse response;
              for (v1::Environment& environment : state.EnvironmentsOf(org)) {
                *response.add_environments() = std::move(environment);
              }
              return response;
            },
            std::move(reply));
      });
  dispatcher_.Unary<v1::GetEnvironmentRequest, v1::GetEnvironmentResponse>(
      [this](const rpc::Call&, const v1::GetEnvironmentRequest& request, auto reply) {
        state_.Read<v1::GetEnvironmentResponse>(
            [name = request.environment()](
                const State& state) -> absl::StatusOr<v1::GetEnvironmentResponse> {
              absl::StatusOr<v1::Environment> environment = state.FindEnvironment(name);
              if (!environment.ok()) return environment.status();
              v1::GetEnvironmentResponse response;
              *response.mutable_environment() = *std::move(environment);
              return response;
            },
            std::move(reply));
      });
  dispatcher_.Unary<v1::ListReleasesRequest, v1::ListReleasesResponse>(
      [this](const rpc::Call&, const v1::ListReleasesRequest& request, auto reply) {
        state_.Read<v1::ListReleasesResponse>(
            [name = request.environment()](
                const State& state) -> absl::StatusOr<v1::ListReleasesResponse> {
              absl::StatusOr<std::vector<v1::Release>> releases = state.ReleasesOf(name);
              if (!releases.ok()) return releases.status();
              v1::ListReleasesResponse response;
              for (v1::Release& release : *releases) *response.add_releases() = std::move(release);
              return response;
            },
            std::move(reply));
      });
  dispatcher_.Streaming<v1::WatchEnvironmentsRequest, watch::v1::WatchResponse>(
      [this](const rpc::Call&, const v1::WatchEnvironmentsRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        rpc::ServeWatch(&state_.writer(), State::kEnvironmentsTopic, request, std::move(stream));
      });
}

}  // namespace berth::config
