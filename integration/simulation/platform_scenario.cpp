#include "integration/simulation/platform_scenario.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "common/check/check.h"
#include "common/crypto/key_ring.h"
#include "common/status/status_macros.h"
#include "common/testing/temp_dir.h"
#include "integration/simulation/client.h"
#include "integration/simulation/config_workload.h"
#include "integration/simulation/convergence_checker.h"
#include "integration/simulation/edge_router_workload.h"
#include "integration/simulation/faults.h"
#include "integration/simulation/fixed_watch.h"
#include "integration/simulation/hosted_services.h"
#include "integration/simulation/identities.h"
#include "integration/simulation/model_agent.h"
#include "integration/simulation/model_edge.h"
#include "integration/simulation/placement_checker.h"
#include "integration/simulation/repeatable_libraries.h"
#include "integration/simulation/route_checker.h"
#include "integration/simulation/scheduler_workload.h"
#include "integration/simulation/secrets_workload.h"
#include "integration/simulation/simulated_service.h"
#include "integration/simulation/world_clock.h"
#include "services/config/state.h"
#include "services/edge_router/state.h"
#include "services/scheduler/state.h"
#include "services/secrets/state.h"

namespace berth::simulation {
namespace {

constexpr char kAuthProcess[] = "auth-0";
// Of each service, on a database: one leads.
constexpr int kCopies = 2;
// Little enough that not everything finds room at all times.
constexpr uint64_t kHostMemoryBytes = uint64_t{512} << 20;
constexpr absl::Duration kFaultyFor = absl::Seconds(20);
// Longer than any fault's after-effects: a lost host's return, the deadline of a rollout and of the
// one that takes it back.
constexpr absl::Duration kSettling = absl::Minutes(15);

Members EveryMember() {
  Members members;
  members.viewers = {"viewer"};
  members.admins = {"deployer", "restarter", "operator", "router", "keeper"};
  members.services = {"scheduler", "edge-router"};
  for (uint64_t i = 0; i < kHosts; ++i) members.hosts.push_back(HostName(i));
  for (uint64_t i = 0; i < kEdges; ++i) members.edges.push_back(EdgeName(i));
  return members;
}

std::shared_ptr<void> KeepAccess(const Foundation& on) {
  GiveAccess(EveryMember(), on.access);
  return nullptr;
}

// In the place of berth-auth: nobody comes or goes.
struct FixedAuth {
  FixedAuth(Network* network, Life* life) {
    GiveAccess(EveryMember(), &access);
    machines =
        FixedWatch::Of<auth::v1::WatchMachinesRequest>(life, &access, Machines(EveryMember()));
    network->Serve(life, {machines->dispatcher()});
  }

  rpc::AccessView access;
  std::unique_ptr<FixedWatch> machines;
};

KeyRing NewKeyRing() {
  const testing::TempDir folder;
  absl::StatusOr<KeyRing> ring = KeyRing::LoadOrCreate(folder.File("key-ring"));
  BERTH_CHECK(ring.ok());
  return *std::move(ring);
}

// Services that follow each other, with agents, edges and people.
class PlatformWorld {
 public:
  PlatformWorld(uint64_t seed, KeptOn on, bool show)
      : world_(seed),
        copies_(on == KeptOn::kDatabase ? kCopies : 1),
        database_(on == KeptOn::kDatabase ? std::make_shared<MemoryDatabase>(&database_clock_)
                                          : nullptr) {
    if (show) world_.trace().Show();
    network_.Attach(&auth_);
    scheduler_.SetObserver([this](const StoredRecord& stored) { Observe(stored); });
    for (const std::string& host : EveryMember().hosts) {
      agents_.push_back(
          std::make_unique<ModelAgent>(&world_, &network_,
                                       ModelAgent::Options{.host = host,
                                                           .schedulers = scheduler_.addresses(),
                                                           .secrets = secrets_.addresses(),
                                                           .memory_bytes = kHostMemoryBytes,
                                                           .values = keeper_.values()}));
    }
    for (const std::string& edge : EveryMember().edges) {
      edges_.push_back(
          std::make_unique<ModelEdge>(&world_, &network_,
                                      ModelEdge::Options{.name = edge,
                                                         .edge_routers = edge_router_.addresses(),
                                                         .schedulers = scheduler_.addresses()}));
    }
    AddClients();
  }

  Outcome Run() {
    auth_.Begin();
    config_.Begin();
    edge_router_.Begin();
    scheduler_.Begin();
    secrets_.Begin();
    for (const auto& agent : agents_) agent->process().Begin();
    for (const auto& edge : edges_) edge->process().Begin();
    for (const Asking& asking : clients_) asking.client->process().Begin();
    faults_.Begin(FaultTargets());
    // A step of its own, as time also passes inside of steps that wait.
    world_.After(kFaultyFor, [this] { Mend(); });
    world_.RunUntil(kFaultyFor + kSettling);
    if (!world_.failure().has_value()) {
      const absl::Status status = Check();
      if (!status.ok()) world_.Fail(status.ToString());
    }
    return Result();
  }

 private:
  struct Asking {
    std::unique_ptr<Client> client;
    std::vector<Asked> last;  // What it asks once faults have ended.
  };

  // However little is answered before, each service has a command and a question to check.
  void AddClients() {
    Random* const random = &world_.random();
    AddClient(Options("viewer", config_.addresses(), AskConfig), {AskEnvironments()});
    AddClient(Options("deployer", config_.addresses(), AskConfig), {AskToDeploy(random)});
    AddClient(Options("restarter", scheduler_.addresses(), AskScheduler), {AskToRestart(random)});
    AddClient(Options("operator", scheduler_.addresses(), AskScheduler), {AskHosts()});
    AddClient(Options("router", edge_router_.addresses(), AskEdgeRouter),
              {AskToRoute(random), AskRoutes()});
    Client::Options keeper = Options("keeper", secrets_.addresses(),
                                     [this](Random* chance) { return keeper_.Next(chance); });
    keeper.recorded = [this](const Asked& asked, const std::string& answer) {
      return keeper_.Recorded(asked, answer);
    };
    keeper.answered = [this](const Asked& asked, const absl::StatusOr<std::string>& answer) {
      keeper_.Answered(asked, answer);
    };
    AddClient(std::move(keeper),
              {SecretsUser::AskToActivate(random), SecretsUser::AskSecrets(random)});
  }

  static Client::Options Options(const std::string& person, std::vector<std::string> servers,
                                 std::function<std::optional<Asked>(Random*)> next) {
    Client::Options options;
    options.name = person;
    options.principal = Person(person).principal;
    options.credentials = Person(person).credentials;
    options.servers = std::move(servers);
    options.next = std::move(next);
    return options;
  }

  void AddClient(Client::Options options, std::vector<Asked> last) {
    clients_.push_back({std::make_unique<Client>(&world_, &network_, std::move(options), &history_),
                        std::move(last)});
  }

  Faults::Targets FaultTargets() {
    Faults::Targets targets;
    for (const auto& host : config_.hosts()) targets.hosts.push_back(host.get());
    for (const auto& host : secrets_.hosts()) targets.hosts.push_back(host.get());
    // These two are clients of the others, too.
    for (const auto& host : edge_router_.hosts()) targets.hosts.push_back(host.get());
    for (const auto& host : scheduler_.hosts()) targets.hosts.push_back(host.get());
    for (const auto& host : edge_router_.hosts()) targets.peers.push_back(&host->process());
    for (const auto& host : scheduler_.hosts()) targets.peers.push_back(&host->process());
    targets.database = database_.get();
    for (const Asking& asking : clients_) targets.peers.push_back(&asking.client->process());
    for (const auto& agent : agents_) {
      targets.peers.push_back(&agent->process());
      targets.restarting.push_back(&agent->process());
    }
    for (const auto& edge : edges_) {
      targets.peers.push_back(&edge->process());
      targets.restarting.push_back(&edge->process());
    }
    return targets;
  }

  void Mend() {
    faults_.Mend();
    for (const Asking& asking : clients_) asking.client->Finish(asking.last);
    for (const auto& agent : agents_) agent->StopFailing();
  }

  // After each record of the scheduler.
  void Observe(const StoredRecord& stored) {
    eventlog::v1::Record record;
    BERTH_CHECK(record.ParseFromString(stored.bytes));
    absl::Status status = placements_.Take(record);
    for (const eventlog::v1::StoredEvent& event : record.events()) {
      ++numbers_["event: " + scheduler::v1::Event::descriptor()
                                 ->FindFieldByNumber(static_cast<int>(event.type()))
                                 ->name()];
      status.Update(CheckFence(event));
    }
    if (status.ok()) return;
    world_.Fail(
        absl::StrCat("stream scheduler, position ", stored.position, ": ", status.ToString()));
  }

  // Whether no edge has a connection any more to what counts as idle from now on.
  absl::Status CheckFence(const eventlog::v1::StoredEvent& stored) const {
    scheduler::v1::Event event;
    BERTH_CHECK(event.ParseFromString(stored.payload()));
    if (event.fence_reached().fence() != scheduler::v1::FENCE_IDLE) return absl::OkStatus();
    const std::string& instance = event.fence_reached().instance();
    for (const auto& edge : edges_) {
      if (!edge->HasConnectionTo(instance)) continue;
      return absl::InternalError(absl::StrCat(instance, " counts as idle, and ",
                                              edge->process().name(), " has a connection to it"));
    }
    return absl::OkStatus();
  }

  absl::Status Check() {
    for (const Asking& asking : clients_) {
      if (asking.client->idle()) continue;
      return absl::InternalError(absl::StrCat(asking.client->process().name(),
                                              " still has no answer, long after all faults ended"));
    }
    BERTH_RETURN_IF_ERROR(CheckHistories());
    BERTH_RETURN_IF_ERROR(CheckWatched());
    BERTH_RETURN_IF_ERROR(config_.EndAndCheckLog());
    BERTH_RETURN_IF_ERROR(edge_router_.EndAndCheckLog());
    BERTH_RETURN_IF_ERROR(scheduler_.EndAndCheckLog());
    return secrets_.EndAndCheckLog();
  }

  absl::Status CheckHistories() {
    config::State wanted;
    scheduler::State placed;
    edge_router::State routed;
    secrets::State stored;
    // The scheduler tells config how rollouts end, and agents fetch what instances are given.
    std::set<std::string> silent = {ServiceMember("scheduler").principal};
    for (const auto& agent : agents_) silent.insert(HostMember(agent->host()).principal);
    BERTH_RETURN_IF_ERROR(config_.CheckHistory(history_, AnswerOfConfig, silent, &wanted));
    BERTH_RETURN_IF_ERROR(scheduler_.CheckHistory(history_, AnswerOfScheduler, silent, &placed));
    BERTH_RETURN_IF_ERROR(edge_router_.CheckHistory(history_, AnswerOfEdgeRouter, silent, &routed));
    BERTH_RETURN_IF_ERROR(secrets_.CheckHistory(
        history_,
        [this](const secrets::State& state, const Operation& question) {
          return keeper_.AnswerOfSecrets(state, question);
        },
        silent, &stored));
    BERTH_RETURN_IF_ERROR(keeper_.values()->Check(secrets_.entries(), history_));
    BERTH_RETURN_IF_ERROR(CheckConverged(wanted, placed));
    BERTH_RETURN_IF_ERROR(CheckActiveSecrets(stored, placed));
    return CheckRoutes(wanted, placed, routed);
  }

  absl::Status CheckWatched() {
    std::vector<WatchHistory> of_hosts;
    for (const auto& agent : agents_) {
      BERTH_RETURN_IF_ERROR(
          agent->CheckRuns(placements_.state().Entries(scheduler::HostTopic(agent->host()))));
      of_hosts.push_back(agent->History());
      numbers_["messages of watches"] += of_hosts.back().messages_brought;
    }
    BERTH_RETURN_IF_ERROR(scheduler_.CheckWatched(of_hosts));
    std::vector<WatchHistory> of_tables;
    for (const auto& edge : edges_) {
      of_tables.push_back(edge->History());
      numbers_["messages of watches"] += of_tables.back().messages_brought;
    }
    return edge_router_.CheckWatched(of_tables);
  }

  template <typename State>
  void Count(const SimulatedService<State>& service) {
    numbers_["records"] += service.entries().size();
    numbers_["lives"] += service.lives();
    numbers_["takeovers"] += service.takeovers();
  }

  Outcome Result() {
    numbers_.insert(faults_.numbers().begin(), faults_.numbers().end());
    numbers_["steps"] = world_.steps();
    Count(config_);
    Count(edge_router_);
    Count(scheduler_);
    Count(secrets_);
    for (const Operation& operation : history_) {
      ++numbers_[operation.IsCommand() ? "commands" : "questions"];
      if (!operation.answered.has_value()) ++numbers_["operations of unknown outcome"];
    }
    numbers_["values of secrets given"] = keeper_.values()->given();
    for (const auto& [name, host] : placements_.state().hosts()) {
      numbers_["instances at the end"] += host.instances.size();
    }
    Outcome outcome;
    outcome.failure = world_.failure();
    outcome.trace_hash = world_.trace().hash();
    outcome.history = world_.trace().lines();
    outcome.numbers = numbers_;
    return outcome;
  }

  World world_;
  Network network_{&world_};
  Faults faults_{&world_, &network_};
  const KeyRing key_ring_ = NewKeyRing();
  const SigningKey grant_key_ = SigningKeyOf(ServiceMember("scheduler"));
  const int copies_;
  const WorldClock database_clock_{&world_};
  const std::shared_ptr<MemoryDatabase> database_;  // nullptr: each service has a disk.
  const Platform platform_{.auth = {kAuthProcess},
                           .config = SimulatedService<config::State>::Addresses(copies_),
                           .edge_router = SimulatedService<edge_router::State>::Addresses(copies_),
                           .scheduler = SimulatedService<scheduler::State>::Addresses(copies_),
                           .secrets = SimulatedService<secrets::State>::Addresses(copies_)};
  PlacementChecker placements_;
  std::vector<Operation> history_;
  SecretsUser keeper_{&world_};
  Process auth_{&world_, kAuthProcess,
                [this](Life* life) { return std::make_shared<FixedAuth>(&network_, life); }};
  SimulatedService<config::State> config_{&world_,    &network_, MakeConfig,
                                          KeepAccess, database_, copies_};
  SimulatedService<edge_router::State> edge_router_{
      &world_, &network_, MakeEdgeRouter(&network_, platform_), KeepAccess, database_, copies_};
  SimulatedService<scheduler::State> scheduler_{
      &world_,    &network_, MakeScheduler(&network_, platform_, &grant_key_),
      KeepAccess, database_, copies_};
  SimulatedService<secrets::State> secrets_{&world_,    &network_, MakeSecrets(&key_ring_),
                                            KeepAccess, database_, copies_};
  std::vector<std::unique_ptr<ModelAgent>> agents_;
  std::vector<std::unique_ptr<ModelEdge>> edges_;
  std::vector<Asking> clients_;
  std::map<std::string, uint64_t> numbers_;
};

}  // namespace

Outcome RunPlatformOnSqlite(uint64_t seed, bool show) {
  MakeLibrariesRepeatable(seed);
  return PlatformWorld(seed, KeptOn::kDisks, show).Run();
}

Outcome RunPlatformOnDatabase(uint64_t seed, bool show) {
  MakeLibrariesRepeatable(seed);
  return PlatformWorld(seed, KeptOn::kDatabase, show).Run();
}

}  // namespace berth::simulation
