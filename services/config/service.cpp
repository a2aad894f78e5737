#include "services/config/service.h"

#include <utility>
#include <vector>

#include "common/manifest/manifest.h"
#include "common/status/status_macros.h"

namespace berth::config {
namespace {

constexpr char kServicePrincipal[] = "service/config";
constexpr char kManifestFileDefault[] = "berth.yaml";

}  // namespace

Service::Service(EventLog* log, Executor* executor, const Clock* clock, IdSource* ids,
                 rpc::AccessView* access)
    : state_(State::kStream, LogWriter::Limits(), log, executor, clock, ids),
      dispatcher_(v1::DeployRequest::descriptor()->file()->service(0), &state_, access, executor,
                  clock) {
  AddHandlers();
}

void Service::Start(std::string address, std::function<void(absl::Status)> started) {
  state_.Start({kServicePrincipal, std::move(address)}, std::move(started));
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
  dispatcher_.Command<v1::RollbackRequest, v1::RollbackResponse>();
  dispatcher_.Command<v1::ScaleRequest, v1::ScaleResponse>();
  dispatcher_.Command<v1::DeleteEnvironmentRequest, v1::DeleteEnvironmentResponse>();
  dispatcher_.Command<v1::ReportRolloutRequest, v1::ReportRolloutResponse>();
  dispatcher_.Query<v1::ListEnvironmentsRequest, v1::ListEnvironmentsResponse>(
      [](const State& state, const v1::ListEnvironmentsRequest& request) {
        v1::ListEnvironmentsResponse response;
        for (v1::Environment& environment : state.EnvironmentsOf(request.org())) {
          *response.add_environments() = std::move(environment);
        }
        return response;
      });
  dispatcher_.Query<v1::GetEnvironmentRequest, v1::GetEnvironmentResponse>(
      [](const State& state,
         const v1::GetEnvironmentRequest& request) -> absl::StatusOr<v1::GetEnvironmentResponse> {
        v1::GetEnvironmentResponse response;
        BERTH_ASSIGN_OR_RETURN(*response.mutable_environment(),
                               state.FindEnvironment(request.environment()));
        return response;
      });
  dispatcher_.Query<v1::ListReleasesRequest, v1::ListReleasesResponse>(
      [](const State& state,
         const v1::ListReleasesRequest& request) -> absl::StatusOr<v1::ListReleasesResponse> {
        BERTH_ASSIGN_OR_RETURN(std::vector<v1::Release> releases,
                               state.ReleasesOf(request.environment()));
        v1::ListReleasesResponse response;
        for (v1::Release& release : releases) *response.add_releases() = std::move(release);
        return response;
      });
  dispatcher_.Watch<v1::WatchEnvironmentsRequest>(State::kEnvironmentsTopic);
}

}  // namespace berth::config
