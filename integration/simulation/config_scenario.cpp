#include "integration/simulation/config_scenario.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/eventlog/v1/record.pb.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/rpc/token.h"
#include "common/time/timestamp.h"
#include "integration/simulation/client.h"
#include "integration/simulation/config_workload.h"
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
constexpr absl::Duration kFaultEveryMost = absl::Milliseconds(1500);
// Eleven of them happen to every service; the others are of what its log is kept on.
constexpr uint64_t kFaultKinds = 16;

struct Identity {
  std::string principal;
  rpc::Credentials credentials;
};

Identity Person(const std::string& name) {
  return {absl::StrCat("user/", name),
          {.identity_key = "", .token = rpc::FormatToken(1, Blake2b256({name}))}};
}

Identity Scheduler() {
  return {"service/scheduler", {.identity_key = Blake2b256({"scheduler"}), .token = ""}};
}

// What auth would say: people who may do everything in the org, one who may only look, and a
// service.
TopicEntries Access() {
  TopicEntries entries;
  for (int i = 0; i < kPeople; ++i) {
    const std::string name = absl::StrCat("person-", i);
    auth::v1::Principal principal;
    principal.set_name(Person(name).principal);
    auth::v1::RoleBinding& binding = *principal.add_bindings();
    binding.set_org("home");
    binding.set_role(i == 0 ? auth::v1::ROLE_VIEWER : auth::v1::ROLE_ADMIN);
    entries.emplace_back(absl::StrCat("principal/", principal.name()),
                         principal.SerializeAsString());
    auth::v1::Token token;
    token.set_principal(principal.name());
    *token.mutable_expire_time() = ToTimestamp(absl::FromUnixSeconds(4'000'000'000));
    entries.emplace_back(absl::StrCat("token/", HexEncode(rpc::TokenHash(Blake2b256({name})))),
                         token.SerializeAsString());
  }
  auth::v1::Machine machine;
  machine.set_kind(auth::v1::MACHINE_KIND_SERVICE);
  machine.set_name("scheduler");
  machine.set_status(auth::v1::MACHINE_STATUS_ACTIVE);
  machine.mutable_keys()->set_identity(Scheduler().credentials.identity_key);
  entries.emplace_back(absl::StrCat("machine/", HexEncode(Scheduler().credentials.identity_key)),
                       machine.SerializeAsString());
  return entries;
}

std::shared_ptr<void> GiveAccess(const Foundation& on) {
  on.access->Replace(Access());
  on.access->Advance(1);
  return nullptr;
}

Served MakeConfig(const Foundation& on) {
  const auto service = std::make_shared<config::Service>(on.log, on.executor, on.life->clock(),
                                                         on.life->ids(), on.access);
  return {service, &service->dispatcher(),
          [service, address = on.life->name()](std::function<void(absl::Status)> started) {
            service->Start(address, std::move(started));
          },
          nullptr};
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
                                                     MakeConfig, GiveAccess));
    }
    AddClients();
    AddWatchers();
  }

  Outcome Run() {
    for (const auto& host : hosts_) host->process().Begin();
    for (const auto& client : clients_) client->process().Begin();
    for (const auto& watcher : watchers_) watcher->process().Begin();
    ScheduleFault();
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
      const Identity identity = person ? Person(absl::StrCat("person-", i)) : Scheduler();
      Client::Options options;
      options.name = person ? absl::StrCat("person-", i) : "scheduler";
      options.principal = identity.principal;
      options.credentials = identity.credentials;
      options.servers = Addresses();
      options.next = person ? AskConfig : ReportRollouts;
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
      options.credentials = Scheduler().credentials;
      options.servers = Addresses();
      options.open = [](std::shared_ptr<rpc::Channel> channel) {
        return rpc::Subscription::Over<config::v1::WatchEnvironmentsRequest>(std::move(channel));
      };
      watchers_.push_back(std::make_unique<Watcher>(&world_, &network_, std::move(options)));
    }
  }

  ServiceHost& AnyHost() { return *hosts_[world_.random().Below(hosts_.size())]; }

  Process& AnyPeer() {
    const uint64_t choice = world_.random().Below(clients_.size() + watchers_.size());
    return choice < clients_.size() ? clients_[choice]->process()
                                    : watchers_[choice - clients_.size()]->process();
  }

  void ScheduleFault() {
    world_.After(world_.random().Between(absl::Milliseconds(20), kFaultEveryMost), [this] {
      if (!faulty_) return;
      Fault();
      ScheduleFault();
    });
  }

  void Count(const std::string& fault) { ++numbers_["fault: " + fault]; }

  void Fault() {
    Random& random = world_.random();
    ServiceHost& host = AnyHost();
    Process& peer = AnyPeer();
    const std::string& server = host.process().name();
    switch (random.Below(kFaultKinds)) {
      case 0:
        Count("kill");
        return host.Kill(SimulatedDisk::End::kProcess);
      case 1:
        Count("loss of power");
        network_.EndSilently(true);
        host.Kill(SimulatedDisk::End::kPower);
        return network_.EndSilently(false);
      case 2:
        Count("death in an append");
        (random.Chance(500) ? host.log_faults().die_before_next
                            : host.log_faults().die_after_next) = true;
        return;
      case 3:
        Count("slow log");
        host.log_faults().append_most = random.Between(absl::Milliseconds(1), absl::Seconds(1));
        return;
      case 4:
        Count("stop");
        if (Life* life = host.process().life())
          life->Stop(random.Between(absl::Milliseconds(100), absl::Seconds(20)));
        return;
      case 5:
        Count("cut");
        return Cut(peer.name(), server, random);
      case 6:
        Count("reset");
        return network_.Reset(peer.name(), server);
      case 7:
        Count("slow network");
        return network_.SetDelay(absl::Microseconds(100),
                                 random.Between(absl::Milliseconds(1), absl::Milliseconds(800)));
      case 8:
        Count("clock jump");
        host.process().JumpClock(random.Between(-absl::Hours(1), absl::Hours(1)));
        return host.process().SetClockDrift(static_cast<int64_t>(random.Below(1000)) - 500);
      case 9:
        Count("stopped client");
        if (peer.life() != nullptr)
          peer.life()->Stop(random.Between(absl::Milliseconds(100), absl::Seconds(60)));
        return;
      case 10:
        return KillWatcher(random);
      default:
        return database_ == nullptr ? FaultOfDisk(host, random) : FaultOfDatabase(host, random);
    }
  }

  void Cut(const std::string& peer, const std::string& server, Random& random) {
    const bool both = random.Chance(500);
    const bool to_server = both || random.Chance(500);
    if (to_server) network_.Cut(peer, server);
    if (both || !to_server) network_.Cut(server, peer);
    world_.After(random.Between(absl::Milliseconds(10), absl::Seconds(60)), [this, peer, server] {
      network_.Mend(peer, server);
      network_.Mend(server, peer);
    });
  }

  void KillWatcher(Random& random) {
    Count("restart of a watcher");
    Watcher* const watcher = watchers_[random.Below(watchers_.size())].get();
    watcher->process().Kill();
    world_.After(random.Between(absl::ZeroDuration(), absl::Seconds(5)),
                 [watcher] { watcher->process().Begin(); });
  }

  void FaultOfDisk(ServiceHost& host, Random& random) {
    switch (random.Below(4)) {
      case 0:
        Count("failed sync");
        return host.FailNextSync();
      case 1:
        Count("full disk");
        host.disk()->SetFull(true);
        return world_.After(random.Between(absl::Milliseconds(10), absl::Seconds(4)),
                            [&host] { host.disk()->SetFull(false); });
      default:
        Count("crash in a write");
        return host.disk()->CrashAfter(static_cast<int>(random.Below(30)));
    }
  }

  void FaultOfDatabase(ServiceHost& host, Random& random) {
    using Failure = MemoryDatabase::AppendFailure;
    switch (random.Below(6)) {
      case 0:
        Count("database: lost before stored");
        return database_->FailNextAppend(Failure::kLostBeforeStored);
      case 1:
        Count("database: lost after stored");
        return database_->FailNextAppend(Failure::kLostAfterStored);
      case 2:
        Count("database: full");
        return database_->FailNextAppend(Failure::kDiskFull);
      case 3:
        Count("database: away");
        database_->Disconnect();
        return world_.After(random.Between(absl::Milliseconds(10), absl::Seconds(30)),
                            [this] { database_->Reconnect(); });
      case 4:
        return FailOverInCommit(random);
      default:
        // Between the look at the lease and the write: whoever has the lease by then is another.
        Count("stop in an append");
        host.log_faults().stop_before_next = random.Between(absl::Seconds(1), absl::Seconds(40));
        return;
    }
  }

  // Whether the commit got as far as the copy that takes over is not said, to whoever commits next.
  void FailOverInCommit(Random& random) {
    using Failure = MemoryDatabase::AppendFailure;
    Count("database: failover in a commit");
    database_->FailNextAppend(random.Chance(500) ? Failure::kLostBeforeStored
                                                 : Failure::kLostAfterStored);
    const absl::Duration away = random.Between(absl::Milliseconds(100), absl::Seconds(20));
    for (const auto& host : hosts_) {
      host->log_faults().after_next = [this, away] {
        for (const auto& other : hosts_) other->log_faults().after_next = nullptr;
        database_->Disconnect();
        world_.After(away, [this] { database_->Reconnect(); });
      };
    }
  }

  void Mend() {
    faulty_ = false;
    for (const auto& host : hosts_) {
      host->log_faults() = LogFaults();
      if (host->disk() != nullptr) host->disk()->SetFull(false);
    }
    if (database_ != nullptr) database_->Reconnect();
    network_.MendAll();
    network_.SetDelay(absl::Microseconds(100), absl::Milliseconds(2));
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

  // What a later start would find is what is known to be there.
  absl::Status CheckLogAnew() {
    for (const auto& host : hosts_) {
      host->SetRestarting(false);
      host->Kill(SimulatedDisk::End::kPower);
    }
    const absl::StatusOr<std::vector<StoredRecord>> found = hosts_.front()->ReadLog();
    if (!found.ok()) return found.status();
    const std::vector<Journal::Entry>& known = journal_.entries();
    if (found->size() != known.size()) {
      return absl::DataLossError(absl::StrCat("the log has ", found->size(), " records, and ",
                                              known.size(), " were stored"));
    }
    for (size_t i = 0; i < known.size(); ++i) {
      if ((*found)[i].hash != known[i].record.hash) {
        return absl::DataLossError(absl::StrCat("position ", i + 1, " has another record"));
      }
    }
    return absl::OkStatus();
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
    outcome.numbers = numbers_;
    return outcome;
  }

  World world_;
  Network network_{&world_};
  Journal journal_{&world_, kStream};
  WorldClock database_clock_{&world_};
  std::shared_ptr<MemoryDatabase> database_;
  std::vector<Operation> history_;
  std::vector<std::unique_ptr<ServiceHost>> hosts_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::map<std::string, uint64_t> numbers_;
  bool faulty_ = true;
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
