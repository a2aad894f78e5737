#include "edge/route_subscription.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "common/log/log.h"
#include "common/net/ipv6_text.h"

namespace berth::edge {
namespace {

constexpr char kRoutePrefix[] = "route/";
constexpr char kSchedulerKey[] = "scheduler";

// The route as the data plane takes it. Upstreams whose address cannot be read are left out.
Route ToRoute(const std::string& key, const edge_router::v1::TableRoute& entry) {
  Route route;
  route.id = key.substr(sizeof(kRoutePrefix) - 1);
  if (entry.route().has_tls()) {
    route.port = static_cast<uint16_t>(entry.route().tls().port());
    route.hostname = entry.route().tls().hostname();
  } else {
    route.port = static_cast<uint16_t>(entry.route().tcp().port());
  }
  if (entry.route().proxy_protocol() == config::v1::PROXY_PROTOCOL_V2) {
    route.proxy_protocol = ProxyProtocol::kV2;
  }
  for (const edge_router::v1::Upstream& upstream : entry.upstreams()) {
    absl::StatusOr<SocketAddress> address =
        SocketAddress::FromIp(Ipv6Text(upstream.address()), static_cast<uint16_t>(upstream.port()));
    if (!address.ok()) continue;
    route.upstreams.push_back({upstream.instance(), *std::move(address), upstream.draining()});
  }
  return route;
}

}  // namespace

void RouteSubscription::Start(const WatchClient& cached) {
  if (cached.revision().has_value()) Apply(cached);
  ReportPeriodically();
}

void RouteSubscription::TableChanged(const WatchClient& client, const WatchClient::Update& update) {
  if (!update.revision.has_value()) return;
  if (update.keys.empty() && has_table_) {
    table_ = *update.revision;
    return;
  }
  if (absl::Status status = with_.cache->Store(client); !status.ok()) {
    // Served all the same: not to would help nobody. A restart has the older table.
    LogError("the table could not be stored", {{"why", status.message()}});
  }
  if (Apply(client)) ReportSoon();
}

bool RouteSubscription::Apply(const WatchClient& client) {
  std::vector<Route> routes;
  watch::v1::Revision revision;
  bool draining = false;
  for (const auto& [key, value] : client.entries()) {
    if (key == kSchedulerKey) {
      revision.ParseFromString(value);
      continue;
    }
    edge_router::v1::TableRoute entry;
    if (!absl::StartsWith(key, kRoutePrefix) || !entry.ParseFromString(value)) continue;
    for (const auto& upstream : entry.upstreams()) draining = draining || upstream.draining();
    routes.push_back(ToRoute(key, entry));
  }
  absl::StatusOr<std::shared_ptr<const RouteTable>> table =
      RouteTable::Build(routes, with_.registry);
  if (!table.ok()) {
    // The last good table stays; what was not applied is not reported as such.
    LogError("a table was refused", {{"why", table.status().message()}});
    return false;
  }
  with_.data_plane->Apply(*std::move(table));
  has_table_ = true;
  table_ = client.revision().value_or(watch::v1::Revision());
  applied_ = revision;
  applied_position_ = revision.position();
  draining_ = draining;
  if (draining_) LookAtDraining();
  return true;
}

void RouteSubscription::LookAtDraining() {
  if (std::exchange(looking_, true)) return;
  with_.executor->PostAfter(kDrainLookInterval, [this] {
    looking_ = false;
    if (!draining_) return;
    if (MakeReport().SerializeAsString() != last_sent_) ReportSoon();
    LookAtDraining();
  });
}

scheduler::v1::ReportEdgeRequest RouteSubscription::MakeReport() const {
  scheduler::v1::ReportEdgeRequest report;
  *report.mutable_applied() = applied_;
  *report.mutable_table() = table_;
  for (const std::string& instance : with_.registry->UpstreamsNotReached()) {
    report.add_not_reached(instance);
  }
  if (draining_) {
    for (const auto& [instance, count] : with_.registry->ConnectionsPerUpstream()) {
      (*report.mutable_connections())[instance] = static_cast<uint32_t>(count);
    }
  }
  for (const auto& [port, why] : with_.data_plane->ListenerProblems()) {
    (*report.mutable_listener_problems())[port] = why;
  }
  return report;
}

void RouteSubscription::ReportSoon() {
  report_due_ = true;
  if (!report_sending_) SendReport();
}

void RouteSubscription::SendReport() {
  if (report_sending_ || !has_table_) return;
  report_due_ = false;
  report_sending_ = true;
  const scheduler::v1::ReportEdgeRequest report = MakeReport();
  last_sent_ = report.SerializeAsString();
  with_.send_report(report, [this](absl::Status status) {
    with_.executor->Post([this, status] {
      report_sending_ = false;
      if (status.ok()) {
        if (report_due_) SendReport();
        return;
      }
      with_.executor->PostAfter(kRetryDelay, [this] { ReportSoon(); });
    });
  });
}

void RouteSubscription::ReportPeriodically() {
  SendReport();
  with_.executor->PostAfter(kReportInterval, [this] { ReportPeriodically(); });
}

}  // namespace berth::edge
