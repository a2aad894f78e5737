#include "integration/simulation/config_scenario.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "integration/simulation/client.h"
#include "integration/simulation/config_workload.h"
#include "integration/simulation/faults.h"
#include "integration/simulation/hosted_services.h"
#include "integration/simulation/identities.h"
#include "integration/simulation/repeatable_libraries.h"
#include "integration/simulation/simulated_service.h"
#include "integration/simulation/watcher.h"
#include "integration/simulation/world_clock.h"
#include "services/config/service.h"

namespace berth::simulation {
namespace {

// Of the service, on a database: one leads.
constexpr int kCopies = 3;
constexpr int kPeople = 4;
constexpr int kWatchers = 3;
constexpr absl::Duration kFaultyFor = absl::Seconds(20);
// Longer than any fault's after-effects: keepalive, backoff, a lease's end, a restart.
constexpr absl::Duration kSettling = absl::Seconds(150);

std::string PersonName(int i) { return absl::StrCat("person-", i); }

// People who may do everything in the org, one who may only look, and a service.
Members EveryMember() {
  Members members;
  for (int i = 0; i < kPeople; ++i) {
    (i == 0 ? members.viewers : members.admins).push_back(PersonName(i));
  }
  members.services.push_back("scheduler");
  return members;
}

std::shared_ptr<void> KeepAccess(const Foundation& on) {
  GiveAccess(EveryMember(), on.access);
  return nullptr;
}

class ConfigWorld {
 public:
  ConfigWorld(uint64_t seed, KeptOn on, bool show) : world_(seed) {
    if (show) world_.trace().Show();
    if (on == KeptOn::kDatabase) database_ = std::make_shared<MemoryDatabase>(&database_clock_);
    config_ = std::make_unique<SimulatedService<config::State>>(
        &world_, &network_, MakeConfig, KeepAccess, database_,
        on == KeptOn::kDatabase ? kCopies : 1);
    AddClients();
    AddWatchers();
  }

  Outcome Run() {
    config_->Begin();
    for (const auto& client : clients_) client->process().Begin();
    for (const auto& watcher : watchers_) watcher->process().Begin();
    faults_.Begin(FaultTargets());
    // A step of its own, as time also passes inside of steps that wait.
    world_.After(kFaultyFor, [this] { Mend(); });
    world_.RunUntil(kFaultyFor + kSettling);
    if (!world_.failure().has_value()) Check();
    return Result();
  }

 private:
  void AddClients() {
    for (int i = 0; i <= kPeople; ++i) {
      const bool person = i < kPeople;
      const Identity identity = person ? Person(PersonName(i)) : ServiceMember("scheduler");
      Client::Options options;
      options.name = person ? PersonName(i) : "scheduler";
      options.principal = identity.principal;
      options.credentials = identity.credentials;
      options.servers = config_->addresses();
      options.next = person ? AskConfig : ReportRollouts;
      // No write that fails tells this one to look for another leader.
      if (i == 0) options.next = AskConfigQuestions;
      clients_.push_back(
          std::make_unique<Client>(&world_, &network_, std::move(options), &history_));
    }
  }

  void AddWatchers() {
    for (int i = 0; i < kWatchers; ++i) {
      Watcher::Options options;
      options.name = absl::StrCat("watcher-", i);
      options.stream = config::State::kStream;
      options.topic = config::State::kEnvironmentsTopic;
      options.credentials = ServiceMember("scheduler").credentials;
      options.servers = config_->addresses();
      options.open = [](std::shared_ptr<rpc::Channel> channel) {
        return rpc::Subscription::Over<config::v1::WatchEnvironmentsRequest>(std::move(channel));
      };
      watchers_.push_back(std::make_unique<Watcher>(&world_, &network_, std::move(options)));
    }
  }

  Faults::Targets FaultTargets() {
    Faults::Targets targets;
    for (const auto& host : config_->hosts()) targets.hosts.push_back(host.get());
    for (const auto& client : clients_) targets.peers.push_back(&client->process());
    for (const auto& watcher : watchers_) {
      targets.peers.push_back(&watcher->process());
      targets.restarting.push_back(&watcher->process());
    }
    targets.database = database_.get();
    targets.may_cut = [this](absl::Duration since) {
      return std::all_of(clients_.begin(), clients_.end(), [since](const auto& client) {
        return client->DoneWithWhatWasAskedBy(since);
      });
    };
    return targets;
  }

  void Mend() {
    faults_.Mend();
    // However little was answered before, there is a question to check.
    for (const auto& client : clients_) {
      client->Finish(client == clients_.front() ? std::vector{AskEnvironments()}
                                                : std::vector<Asked>());
    }
  }

  void Check() {
    for (const auto& client : clients_) {
      if (!client->idle()) {
        return world_.Fail(absl::StrCat(client->process().name(),
                                        " still has no answer, long after all faults ended"));
      }
    }
    std::vector<WatchHistory> watched;
    for (const auto& watcher : watchers_) watched.push_back(watcher->History());
    for (const absl::Status& status : {config_->CheckHistory(history_, AnswerOfConfig),
                                       config_->CheckWatched(watched), config_->EndAndCheckLog()}) {
      if (!status.ok()) return world_.Fail(status.ToString());
    }
    numbers_["messages of watches"] = 0;
    for (const WatchHistory& history : watched) {
      numbers_["messages of watches"] += history.messages_brought;
    }
  }

  Outcome Result() {
    Outcome outcome;
    outcome.failure = world_.failure();
    outcome.trace_hash = world_.trace().hash();
    outcome.history = world_.trace().lines();
    numbers_["steps"] = world_.steps();
    numbers_["records"] = config_->entries().size();
    numbers_["lives"] = config_->lives();
    numbers_["takeovers"] = config_->takeovers();
    for (const Operation& operation : history_) {
      ++numbers_[operation.IsCommand() ? "commands" : "questions"];
      if (!operation.answered.has_value()) ++numbers_["operations of unknown outcome"];
    }
    numbers_.insert(faults_.numbers().begin(), faults_.numbers().end());
    outcome.numbers = numbers_;
    return outcome;
  }

  World world_;
  Network network_{&world_};
  Faults faults_{&world_, &network_};
  WorldClock database_clock_{&world_};
  std::shared_ptr<MemoryDatabase> database_;
  std::vector<Operation> history_;
  std::unique_ptr<SimulatedService<config::State>> config_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::map<std::string, uint64_t> numbers_;
};

}  // namespace

Outcome RunConfigOnSqlite(uint64_t seed, bool show) {
  MakeLibrariesRepeatable(seed);
  return ConfigWorld(seed, KeptOn::kDisks, show).Run();
}

Outcome RunConfigOnDatabase(uint64_t seed, bool show) {
  MakeLibrariesRepeatable(seed);
  return ConfigWorld(seed, KeptOn::kDatabase, show).Run();
}

}  // namespace berth::simulation
