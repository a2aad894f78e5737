// The edge: settings → data plane from the stored table → membership → watch → wait.

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/clock/system_clock.h"
#include "common/crypto/secret_bytes.h"
#include "common/daemon/daemon.h"
#include "common/executor/thread_executor.h"
#include "common/ids/random_id_source.h"
#include "common/log/log.h"
#include "common/member/member.h"
#include "common/metrics/metrics_server.h"
#include "common/rpc/server.h"
#include "common/rpc/subscription.h"
#include "common/settings/settings.h"
#include "common/status/status_macros.h"
#include "common/watch/watch_cache.h"
#include "edge/data_plane.h"
#include "edge/edge_metrics.h"
#include "edge/route_subscription.h"
#include "edge/upstream_registry.h"

namespace berth::edge {
namespace {

constexpr absl::Duration kDrainMax = absl::Seconds(10);

struct EdgeSettings {
  MemberSettings member;
  std::string listen_ip = "::";
  std::string http = kEdgeHttp;
};

absl::StatusOr<EdgeSettings> LoadSettings(const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadSettingsFile(path));
  EdgeSettings settings;
  SettingsReader reader(text, path);
  ReadMemberSettings(&reader, &settings.member);
  reader.Optional("listen_ip", &settings.listen_ip);
  reader.Optional("http", &settings.http);
  BERTH_RETURN_IF_ERROR(reader.Finish());
  return settings;
}

absl::Status Run(const EdgeSettings& settings) {
  BERTH_RETURN_IF_ERROR(MakeFolder(settings.member.state));
  Metrics metrics("edge");
  BERTH_ASSIGN_OR_RETURN(const MetricsServer http,
                         MetricsServer::Start(settings.http, settings.member.state, &metrics));
  const SystemClock clock;
  RandomIdSource ids;
  UpstreamRegistry registry;
  DataPlaneOptions options;
  options.listen_ip = settings.listen_ip;
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<DataPlane> data_plane,
                         DataPlane::Create(options, &clock, &registry));
  const WatchCache cache(settings.member.state + "/table");
  BERTH_ASSIGN_OR_RETURN(const WatchClient cached, cache.Load());

  BERTH_ASSIGN_OR_RETURN(const Member member, Member::Join(settings.member));
  const std::shared_ptr<rpc::Channel>& services = member.services();

  ThreadExecutor executor("routes");
  RouteSubscription routes(
      {data_plane.get(), &registry, &executor, &cache,
       [services](const scheduler::v1::ReportEdgeRequest& report,
                  std::function<void(absl::Status)> done) {
         services->CallAsync<scheduler::v1::ReportEdgeResponse>(
             report, {}, [done](absl::StatusOr<scheduler::v1::ReportEdgeResponse> response) {
               done(response.status());
             });
       }});
  const EdgeMetrics edge_metrics(
      &metrics, data_plane.get(), &registry,
      {[&routes] { return routes.has_table(); }, [&routes] { return routes.applied_position(); }});
  std::unique_ptr<rpc::Subscription> table;
  executor.Post([&] {
    routes.Start(cached);
    table = std::make_unique<rpc::Subscription>(
        "table", rpc::Subscription::Over<edge_router::v1::WatchTableRequest>(services), cached,
        &executor, &ids, [&routes, &table](const WatchClient::Update& update) {
          routes.TableChanged(table->client(), update);
        });
    table->Start();
  });

  LogInfo("berth-edge runs", {{"edge", member.machine().name()},
                              {"key", KeyFingerprint(member.identity().public_keys().identity)},
                              {"version", BERTH_VERSION}});
  WaitForStop();
  LogInfo("berth-edge stops");
  const size_t cut_off = data_plane->Drain(kDrainMax);
  if (cut_off > 0) LogWarning("connections were ended", {{"connections", cut_off}});
  executor.Stop();
  return absl::OkStatus();
}

absl::Status Main(int argc, char** argv) {
  BlockStopSignals();
  rpc::PrepareGrpc();
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  BERTH_ASSIGN_OR_RETURN(const std::string path, SettingsPathOf(argc, argv));
  BERTH_ASSIGN_OR_RETURN(const EdgeSettings settings, LoadSettings(path));
  return Run(settings);
}

}  // namespace
}  // namespace berth::edge

int main(int argc, char** argv) { return berth::ExitWith(berth::edge::Main(argc, argv)); }
