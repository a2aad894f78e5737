#include "integration/simulation/config_scenario.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "berth/eventlog/v1/record.pb.h"
#include "common/check/check.h"
#include "integration/simulation/client.h"
#include "integration/simulation/config_workload.h"
#include "integration/simulation/faults.h"
#include "integration/simulation/hosted_services.h"
#include "integration/simulation/identities.h"
#include "integration/simulation/read_checker.h"
#include "integration/simulation/repeatable_libraries.h"
#include "integration/simulation/service_host.h"
#include "integration/simulation/stream_model.h"
#include "integration/simulation/watch_checker.h"
#include "integration/simulation/watcher.h"
#include "integration/simulation/write_checker.h"
#include "services/config/service.h"

namespace berth::simulation {
namespace {

constexpr char kStream[] = "config";
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

// The world's own clock, by which a database ends leases.
class WorldClock : public Clock {
 public:
  explicit WorldClock(const World* world) : world_(world) {}

  absl::Time Now() const override { return absl::UnixEpoch() + world_->now(); }
  absl::Duration Monotonic() const override { return world_->now(); }

 private:
  const World* const world_;
};

class ConfigWorld {
 public:
  enum class On { kSqlite, kDatabase };

  ConfigWorld(uint64_t seed, On on, bool show) : world_(seed) {
    if (show) world_.trace().Show();
    if (on == On::kDatabase) database_ = std::make_shared<MemoryDatabase>(&database_clock_);
    const int copies = on == On::kDatabase ? kCopies : 1;
    for (int i = 0; i < copies; ++i) {
      hosts_.push_back(std::make_unique<ServiceHost>(&world_, &network_, &journal_,
                                                     absl::StrCat("config-", i), database_,
                                                     MakeConfig, KeepAccess));
    }
    AddClients();
    AddWatchers();
  }

  Outcome Run() {
    for (const auto& host : hosts_) host->process().Begin();
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
  // Where the copies of the service are.
  std::vector<std::string> Addresses() const {
    std::vector<std::string> addresses;
    for (const auto& host : hosts_) addresses.push_back(host->process().name());
    return addresses;
  }

  void AddClients() {
    for (int i = 0; i <= kPeople; ++i) {
      const bool person = i < kPeople;
      const Identity identity = person ? Person(PersonName(i)) : ServiceMember("scheduler");
      Client::Options options;
      options.name = person ? PersonName(i) : "scheduler";
      options.principal = identity.principal;
      options.credentials = identity.credentials;
      options.servers = Addresses();
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
      options.stream = kStream;
      options.topic = config::State::kEnvironmentsTopic;
      options.credentials = ServiceMember("scheduler").credentials;
      options.servers = Addresses();
      options.open = [](std::shared_ptr<rpc::Channel> channel) {
        return rpc::Subscription::Over<config::v1::WatchEnvironmentsRequest>(std::move(channel));
      };
      watchers_.push_back(std::make_unique<Watcher>(&world_, &network_, std::move(options)));
    }
  }

  Faults::Targets FaultTargets() {
    Faults::Targets targets;
    for (const auto& host : hosts_) targets.hosts.push_back(host.get());
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
      client->Finish(client == clients_.front() ? std::optional(AskEnvironments()) : std::nullopt);
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
    ReplayOf<config::State> model;
    for (const absl::Status& status :
         {CheckWrites(journal_.entries(), kStream, history_),
          CheckReads(journal_.entries(), kStream, history_, &model,
                     [&model](const Operation& question) {
                       return AnswerOfConfig(model.state(), question);
                     }),
          CheckWatches(
              journal_.entries(), kStream,
              [] { return std::make_unique<ReplayOf<config::State>>(); }, watched),
          CheckLogAnew()}) {
      if (!status.ok()) return world_.Fail(status.ToString());
    }
    numbers_["messages of watches"] = 0;
    for (const WatchHistory& history : watched) {
      numbers_["messages of watches"] += history.messages_brought;
    }
  }

  absl::Status CheckLogAnew() {
    for (const auto& host : hosts_) host->End();
    return hosts_.front()->CheckLog(std::make_unique<LoggedStateOf<config::State>>());
  }

  Outcome Result() {
    Outcome outcome;
    outcome.failure = world_.failure();
    outcome.trace_hash = world_.trace().hash();
    outcome.history = world_.trace().lines();
    numbers_["steps"] = world_.steps();
    numbers_["records"] = journal_.entries().size();
    for (const Journal::Entry& entry : journal_.entries()) {
      eventlog::v1::Record record;
      BERTH_CHECK(record.ParseFromString(entry.record.bytes));
      if (record.method() == "LeaderStarted") ++numbers_["takeovers"];
    }
    for (const Operation& operation : history_) {
      ++numbers_[operation.IsCommand() ? "commands" : "questions"];
      if (!operation.answered.has_value()) ++numbers_["operations of unknown outcome"];
    }
    for (const auto& host : hosts_) numbers_["lives"] += host->process().lives();
    numbers_.insert(faults_.numbers().begin(), faults_.numbers().end());
    outcome.numbers = numbers_;
    return outcome;
  }

  World world_;
  Network network_{&world_};
  Faults faults_{&world_, &network_};
  Journal journal_{&world_, kStream};
  WorldClock database_clock_{&world_};
  std::shared_ptr<MemoryDatabase> database_;
  std::vector<Operation> history_;
  std::vector<std::unique_ptr<ServiceHost>> hosts_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::map<std::string, uint64_t> numbers_;
};

}  // namespace

Outcome RunConfigOnSqlite(uint64_t seed, bool show) {
  MakeLibrariesRepeatable(seed);
  return ConfigWorld(seed, ConfigWorld::On::kSqlite, show).Run();
}

Outcome RunConfigOnDatabase(uint64_t seed, bool show) {
  MakeLibrariesRepeatable(seed);
  return ConfigWorld(seed, ConfigWorld::On::kDatabase, show).Run();
}

}  // namespace berth::simulation
