#include "integration/simulation/model_edge.h"

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "common/check/check.h"
#include "integration/simulation/identities.h"
#include "services/edge_router/state.h"

namespace berth::simulation {
namespace {

constexpr char kRoutePrefix[] = "route/";
constexpr char kSchedulerKey[] = "scheduler";
constexpr absl::Duration kConnectedMost = absl::Seconds(20);

}  // namespace

// One life.
struct ModelEdge::Running {
  Running(ModelEdge* of, Life* life)
      : edge(of),
        channel(of->network_->Connect(life, EdgeMember(of->options_.name).credentials,
                                      of->options_.schedulers)),
        reporter(life, [this](std::function<void()> answered) {
          channel->CallAsync<scheduler::v1::ReportEdgeResponse>(
              edge->MakeReport(), {},
              [answered](const absl::StatusOr<scheduler::v1::ReportEdgeResponse>&) { answered(); });
        }) {
    edge->reporter_ = &reporter;
  }
  ~Running() {
    if (edge->reporter_ != &reporter) return;
    edge->reporter_ = nullptr;
    edge->connected_.clear();
    edge->closing_.clear();
  }

  ModelEdge* const edge;
  const std::shared_ptr<rpc::Channel> channel;
  Reporter reporter;
};

ModelEdge::ModelEdge(World* world, Network* network, Options options)
    : world_(world),
      network_(network),
      options_(std::move(options)),
      random_(world->random().Fork()),
      watcher_(world, network,
               {.name = options_.name,
                .stream = edge_router::State::kStream,
                .topic = edge_router::State::kTableTopic,
                .credentials = EdgeMember(options_.name).credentials,
                .servers = options_.edge_routers,
                .open =
                    [](std::shared_ptr<rpc::Channel> channel) {
                      return rpc::Subscription::Over<edge_router::v1::WatchTableRequest>(
                          std::move(channel));
                    },
                .begin =
                    [this](Life* life) {
                      auto running = std::make_shared<Running>(this, life);
                      Take(watcher_.client());
                      return running;
                    },
                .updated = [this](const WatchClient& client) { Take(client); }}) {}

void ModelEdge::Take(const WatchClient& client) {
  if (!client.revision().has_value()) return;
  *table_.mutable_table() = *client.revision();
  std::set<std::string> served;
  for (const auto& [key, value] : client.entries()) {
    if (key == kSchedulerKey) BERTH_CHECK(table_.mutable_applied()->ParseFromString(value));
    edge_router::v1::TableRoute route;
    if (!absl::StartsWith(key, kRoutePrefix)) continue;
    BERTH_CHECK(route.ParseFromString(value));
    for (const edge_router::v1::Upstream& upstream : route.upstreams()) {
      if (!upstream.draining()) served.insert(upstream.instance());
    }
  }
  connected_.insert(served.begin(), served.end());
  for (const std::string& instance : connected_) {
    if (!served.contains(instance)) Close(instance);
  }
  if (reporter_ != nullptr) reporter_->Report();
}

void ModelEdge::Close(const std::string& instance) {
  if (!closing_.insert(instance).second) return;
  world_->After(random_.Between(absl::Milliseconds(10), kConnectedMost),
                [this, instance, life = process().lives()] {
                  if (process().lives() != life) return;
                  connected_.erase(instance);
                  closing_.erase(instance);
                  if (reporter_ != nullptr) reporter_->Report();
                });
}

scheduler::v1::ReportEdgeRequest ModelEdge::MakeReport() const {
  scheduler::v1::ReportEdgeRequest report = table_;
  for (const std::string& instance : connected_) (*report.mutable_connections())[instance] = 1;
  return report;
}

}  // namespace berth::simulation
