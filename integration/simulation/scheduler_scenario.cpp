#include "integration/simulation/scheduler_scenario.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/check/check.h"
#include "common/status/status_macros.h"
#include "integration/simulation/client.h"
#include "integration/simulation/config_workload.h"
#include "integration/simulation/convergence_checker.h"
#include "integration/simulation/faults.h"
#include "integration/simulation/fixed_watch.h"
#include "integration/simulation/hosted_services.h"
#include "integration/simulation/identities.h"
#include "integration/simulation/model_agent.h"
#include "integration/simulation/placement_checker.h"
#include "integration/simulation/read_checker.h"
#include "integration/simulation/repeatable_libraries.h"
#include "integration/simulation/scheduler_workload.h"
#include "integration/simulation/stream_model.h"
#include "integration/simulation/watch_checker.h"
#include "integration/simulation/write_checker.h"
#include "services/config/state.h"
#include "services/scheduler/state.h"

namespace berth::simulation {
namespace {

constexpr char kConfigProcess[] = "config-0";
constexpr char kSchedulerProcess[] = "scheduler-0";
constexpr char kOthersProcess[] = "others";
// Little enough that not everything finds room at all times.
constexpr uint64_t kHostMemoryBytes = uint64_t{512} << 20;
constexpr absl::Duration kFaultyFor = absl::Seconds(20);
// Longer than any fault's after-effects: a lost host's return, the deadline of a rollout and of the
// one that takes it back.
constexpr absl::Duration kSettling = absl::Minutes(15);

Members EveryMember() {
  Members members;
  members.viewers = {"viewer"};
  members.admins = {"deployer", "restarter", "operator"};
  members.services = {"scheduler"};
  for (uint64_t i = 0; i < kHosts; ++i) members.hosts.push_back(HostName(i));
  return members;
}

std::shared_ptr<void> KeepAccess(const Foundation& on) {
  GiveAccess(EveryMember(), on.access);
  return nullptr;
}

// What the scheduler follows of the services that are not there: the hosts, no routes, no secrets.
struct Others {
  Others(Network* network, Life* life) {
    GiveAccess(EveryMember(), &access);
    watches.push_back(
        FixedWatch::Of<auth::v1::WatchMachinesRequest>(life, &access, Machines(EveryMember())));
    watches.push_back(FixedWatch::Of<edge_router::v1::WatchRouteStatesRequest>(life, &access, {}));
    watches.push_back(FixedWatch::Of<secrets::v1::WatchActiveSecretsRequest>(life, &access, {}));
    std::vector<rpc::Dispatcher*> dispatchers;
    for (const auto& watch : watches) dispatchers.push_back(watch->dispatcher());
    network->Serve(life, dispatchers);
  }

  rpc::AccessView access;
  std::vector<std::unique_ptr<FixedWatch>> watches;
};

class SchedulerWorld {
 public:
  SchedulerWorld(uint64_t seed, bool show)
      : world_(seed),
        others_(&world_, kOthersProcess,
                [this](Life* life) { return std::make_shared<Others>(&network_, life); }),
        config_(&world_, &network_, &config_journal_, kConfigProcess, nullptr, MakeConfig,
                KeepAccess),
        scheduler_(&world_, &network_, &scheduler_journal_, kSchedulerProcess, nullptr,
                   MakeScheduler(&network_, kConfigProcess, kOthersProcess, &grant_key_),
                   KeepAccess) {
    if (show) world_.trace().Show();
    network_.Attach(&others_);
    scheduler_journal_.SetObserver([this](const StoredRecord& stored) { Observe(stored); });
    for (const std::string& host : EveryMember().hosts) {
      agents_.push_back(std::make_unique<ModelAgent>(
          &world_, &network_, ModelAgent::Options{host, {kSchedulerProcess}, kHostMemoryBytes}));
    }
    // However little is answered before, each service has a command and a question to check.
    Random* const random = &world_.random();
    AddClient("viewer", kConfigProcess, AskConfig, AskEnvironments());
    AddClient("deployer", kConfigProcess, AskConfig, AskToDeploy(random));
    AddClient("restarter", kSchedulerProcess, AskScheduler, AskToRestart(random));
    AddClient("operator", kSchedulerProcess, AskScheduler, AskHosts());
  }

  Outcome Run() {
    others_.Begin();
    config_.process().Begin();
    scheduler_.process().Begin();
    for (const auto& agent : agents_) agent->process().Begin();
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
    Asked last;  // What it asks once faults have ended.
  };

  void AddClient(const std::string& person, const std::string& server,
                 std::function<std::optional<Asked>(Random*)> next, Asked last) {
    Client::Options options;
    options.name = person;
    options.principal = Person(person).principal;
    options.credentials = Person(person).credentials;
    options.servers = {server};
    options.next = std::move(next);
    clients_.push_back({std::make_unique<Client>(&world_, &network_, std::move(options), &history_),
                        std::move(last)});
  }

  Faults::Targets FaultTargets() {
    Faults::Targets targets;
    targets.hosts = {&config_, &scheduler_};
    // The scheduler is a client of config, too.
    targets.peers = {&scheduler_.process()};
    for (const Asking& asking : clients_) targets.peers.push_back(&asking.client->process());
    for (const auto& agent : agents_) {
      targets.peers.push_back(&agent->process());
      targets.restarting.push_back(&agent->process());
    }
    return targets;
  }

  void Mend() {
    faults_.Mend();
    for (const Asking& asking : clients_) asking.client->Finish(asking.last);
    for (const auto& agent : agents_) agent->StopFailing();
  }

  void Observe(const StoredRecord& stored) {
    eventlog::v1::Record record;
    BERTH_CHECK(record.ParseFromString(stored.bytes));
    const absl::Status status = placements_.Take(record);
    if (!status.ok()) {
      world_.Fail(
          absl::StrCat("stream scheduler, position ", stored.position, ": ", status.ToString()));
    }
    if (record.method() == "LeaderStarted") ++numbers_["takeovers"];
    for (const eventlog::v1::StoredEvent& event : record.events()) {
      ++numbers_["event: " + scheduler::v1::Event::descriptor()
                                 ->FindFieldByNumber(static_cast<int>(event.type()))
                                 ->name()];
    }
  }

  absl::Status Check() {
    for (const Asking& asking : clients_) {
      if (asking.client->idle()) continue;
      return absl::InternalError(absl::StrCat(asking.client->process().name(),
                                              " still has no answer, long after all faults ended"));
    }
    std::vector<WatchHistory> watched;
    for (const auto& agent : agents_) {
      BERTH_RETURN_IF_ERROR(
          agent->CheckRuns(placements_.state().Entries(scheduler::HostTopic(agent->host()))));
      watched.push_back(agent->History());
      numbers_["messages of watches"] += watched.back().messages_brought;
    }
    BERTH_RETURN_IF_ERROR(CheckConfig());
    BERTH_RETURN_IF_ERROR(CheckScheduler());
    BERTH_RETURN_IF_ERROR(CheckWatches(
        scheduler_journal_.entries(), scheduler::State::kStream,
        [] { return std::make_unique<ReplayOf<scheduler::State>>(); }, watched));
    config_.End();
    scheduler_.End();
    BERTH_RETURN_IF_ERROR(config_.CheckLog(std::make_unique<LoggedStateOf<config::State>>()));
    return scheduler_.CheckLog(std::make_unique<LoggedStateOf<scheduler::State>>());
  }

  absl::Status CheckConfig() {
    // The scheduler tells it how rollouts end.
    BERTH_RETURN_IF_ERROR(CheckWrites(config_journal_.entries(), config::State::kStream, history_,
                                      {ServiceMember("scheduler").principal}));
    ReplayOf<config::State> model;
    BERTH_RETURN_IF_ERROR(CheckReads(
        config_journal_.entries(), config::State::kStream, history_, &model,
        [&model](const Operation& question) { return AnswerOfConfig(model.state(), question); }));
    return CheckConverged(model.state(), placements_.state());
  }

  absl::Status CheckScheduler() {
    BERTH_RETURN_IF_ERROR(
        CheckWrites(scheduler_journal_.entries(), scheduler::State::kStream, history_));
    ReplayOf<scheduler::State> model;
    return CheckReads(
        scheduler_journal_.entries(), scheduler::State::kStream, history_, &model,
        [&model](const Operation& question) { return AnswerOfScheduler(model.state(), question); });
  }

  Outcome Result() {
    numbers_.insert(faults_.numbers().begin(), faults_.numbers().end());
    numbers_["steps"] = world_.steps();
    numbers_["records"] = config_journal_.entries().size() + scheduler_journal_.entries().size();
    numbers_["lives"] = config_.process().lives() + scheduler_.process().lives();
    for (const Operation& operation : history_) {
      ++numbers_[operation.IsCommand() ? "commands" : "questions"];
      if (!operation.answered.has_value()) ++numbers_["operations of unknown outcome"];
    }
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
  const SigningKey grant_key_ = SigningKey::Generate();
  Journal config_journal_{&world_, config::State::kStream};
  Journal scheduler_journal_{&world_, scheduler::State::kStream};
  PlacementChecker placements_;
  std::vector<Operation> history_;
  Process others_;
  ServiceHost config_;
  ServiceHost scheduler_;
  std::vector<std::unique_ptr<ModelAgent>> agents_;
  std::vector<Asking> clients_;
  std::map<std::string, uint64_t> numbers_;
};

}  // namespace

Outcome RunScheduler(uint64_t seed, bool show) {
  MakeLibrariesRepeatable(seed);
  return SchedulerWorld(seed, show).Run();
}

}  // namespace berth::simulation
