#include "common/eventlog/event_sourced.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"
#include "common/eventlog/model_counter.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"
#include "common/watch/watch_client.h"

namespace berth {
namespace {

TEST_CASE("a restart replays the same state", "[eventlog][event_sourced]") {
  World world;
  {
    Process process(&world);
    REQUIRE(process.started.ok());
    CHECK(*process.Promote("a") == 1);
    CHECK(*process.Promote("a") == 2);
    CHECK(*process.Promote("b") == 1);
  }
  Process process(&world);
  CHECK(process.Count("a") == 2);
  CHECK(process.Count("b") == 1);
}

TEST_CASE("a repeat gets the first answer, also after a restart", "[eventlog][event_sourced]") {
  World world;
  {
    Process process(&world);
    CHECK(*process.Promote("a", "r1") == 1);
    CHECK(*process.Promote("a", "r1") == 1);
    CHECK(process.Promote("", "r2").status().code() == absl::StatusCode::kInvalidArgument);
  }
  Process process(&world);
  CHECK(*process.Promote("a", "r1") == 1);
  CHECK(process.Promote("", "r2").status() == absl::InvalidArgumentError("an app has a name"));
  CHECK(process.Count("a") == 1);
  SECTION("the same id for another request is refused") {
    CHECK(ReasonOf(process.Promote("b", "r1").status()) == reason::kRequestIdReused);
    CHECK(process.Count("b") == 0);
  }
}

TEST_CASE("a repeat within one batch gets the same answer", "[eventlog][event_sourced]") {
  World world;
  Process process(&world);
  absl::StatusOr<uint64_t> first = absl::InternalError("no answer");
  absl::StatusOr<uint64_t> second = absl::InternalError("no answer");
  process.PromoteLater("a", "r1", &first);
  process.PromoteLater("a", "r1", &second);
  process.executor.RunUntilIdle();
  CHECK(*first == 1);
  CHECK(*second == 1);
  CHECK(process.Count("a") == 1);
}

TEST_CASE("a refusal leaves a record and a read leaves none", "[eventlog][event_sourced]") {
  World world;
  Process process(&world);
  const size_t before = process.Records();
  CHECK_FALSE(process.Promote("").ok());
  CHECK(process.Records() == before + 1);
  process.Count("a");
  CHECK(process.Records() == before + 1);
}

TEST_CASE("a refusal that is not text does not make the log unreadable",
          "[eventlog][event_sourced]") {
  World world;
  {
    Process process(&world);
    CommandOrigin origin;
    origin.principal = "user/a";
    origin.method = "Promote";
    absl::Status answer;
    process.counter.Execute<config::v1::RollbackResponse>(
        origin, Recorded::kAlways,
        [](const Counter&,
           const DecisionContext&) -> Decided<config::v1::Event, config::v1::RollbackResponse> {
          return absl::InvalidArgumentError("no app is called gr\xc3");
        },
        [&](absl::StatusOr<config::v1::RollbackResponse> response) { answer = response.status(); });
    process.executor.RunUntilIdle();
    REQUIRE(answer.code() == absl::StatusCode::kInvalidArgument);
  }
  CHECK(Process(&world).started == absl::OkStatus());
}

TEST_CASE("the details of a refusal are recorded in the same order each time",
          "[eventlog][event_sourced]") {
  World world;
  Process process(&world);
  // Each lies somewhere else in memory, as those of different runs do.
  std::vector<absl::Status> refusals;
  for (int i = 0; i < 32; ++i) {
    refusals.push_back(WithRetryDelay(WithReason(absl::NotFoundError("not yet"), reason::kNoRoom),
                                      absl::Seconds(1)));
  }
  for (const absl::Status& refusal : refusals) {
    CommandOrigin origin;
    origin.principal = "user/a";
    origin.method = "Promote";
    process.counter.Execute<config::v1::RollbackResponse>(
        origin, Recorded::kAlways,
        [refusal](const Counter&, const DecisionContext&)
            -> Decided<config::v1::Event, config::v1::RollbackResponse> { return refusal; },
        [](const absl::StatusOr<config::v1::RollbackResponse>&) {});
  }
  process.executor.RunUntilIdle();
  const std::vector<StoredRecord> stored = *MemoryEventLog(world.database, "counter").Read(0, 1000);
  REQUIRE(stored.size() == refusals.size() + 1);  // After LeaderStarted.
  std::set<std::string> outcomes;
  for (size_t i = 1; i < stored.size(); ++i) {
    eventlog::v1::Record record;
    REQUIRE(record.ParseFromString(stored[i].bytes));
    CHECK(record.outcome().details_size() == 2);
    outcomes.insert(record.outcome().SerializeAsString());
  }
  CHECK(outcomes.size() == 1);
}

TEST_CASE("an append that fails takes back what was decided", "[eventlog][event_sourced]") {
  World world;
  Process process(&world);
  CHECK(*process.Promote("a") == 1);
  SECTION("before it was stored") {
    world.database->FailNextAppend(MemoryDatabase::AppendFailure::kLostBeforeStored);
    CHECK(process.Promote("a", "r1").status().code() == absl::StatusCode::kUnavailable);
    CHECK(process.Count("a") == 1);
    process.executor.Advance(absl::Seconds(1));
    CHECK(*process.Promote("a", "r1") == 2);
  }
  SECTION("after it was stored: the retry gets the first answer") {
    world.database->FailNextAppend(MemoryDatabase::AppendFailure::kLostAfterStored);
    CHECK(process.Promote("a", "r1").status().code() == absl::StatusCode::kUnavailable);
    CHECK(process.Count("a") == 2);
    CHECK(*process.Promote("a", "r1") == 2);
    CHECK(process.Count("a") == 2);
  }
  SECTION("because the disk is full: reads go on, and writes again after a while") {
    world.database->FailNextAppend(MemoryDatabase::AppendFailure::kDiskFull);
    CHECK(process.Promote("a").status().code() == absl::StatusCode::kResourceExhausted);
    CHECK(process.Count("a") == 1);
    CHECK(process.Promote("a").status().code() == absl::StatusCode::kResourceExhausted);
    process.executor.Advance(absl::Seconds(1));
    CHECK(*process.Promote("a") == 2);
  }
}

TEST_CASE(
    "what a service does whenever its state was loaded fails once a second, and then succeeds",
    "[eventlog][event_sourced]") {
  using Failure = MemoryDatabase::AppendFailure;
  const Failure failure = GENERATE(Failure::kDiskFull, Failure::kLostBeforeStored);
  World world;
  Process process(&world);
  absl::StatusOr<uint64_t> answer = absl::InternalError("no answer");
  process.when_it_leads = [&] { process.PromoteLater("a", "", &answer); };
  for (int i = 0; i < 3; ++i) world.database->FailNextAppend(failure);
  process.told.clear();
  REQUIRE_FALSE(process.Promote("b").ok());
  CHECK(process.told == std::vector<std::string>{"leads"});
  CHECK(RetryDelayOf(answer.status()) == absl::Seconds(1));
  // Each second it is told that it may try again, and told once more where that fails.
  process.executor.Advance(absl::Seconds(2));
  CHECK(process.told == std::vector<std::string>(5, "leads"));
  CHECK(process.Count("a") == 0);
  process.executor.Advance(absl::Seconds(1));
  CHECK(*answer == 1);
  CHECK(process.Count("a") == 1);
}

TEST_CASE("a state is told once that the wall clock was set, before the next command",
          "[eventlog][event_sourced]") {
  using Failure = MemoryDatabase::AppendFailure;
  World world;
  auto process = std::make_unique<Process>(&world);
  REQUIRE(process->Promote("clock").ok());
  SECTION("back, or ahead") {
    world.clock.Set(-absl::Hours(1));
    CHECK(process->Count("set back") == 1);
    process->executor.Advance(absl::Minutes(2));
    CHECK(process->Count("set back") == 1);
    CHECK(process->Count("set ahead") == 0);
    world.clock.Set(absl::Hours(1));
    REQUIRE(process->Promote("a").ok());
    CHECK(process->Count("set ahead") == 1);
    CHECK(process->Count("set back") == 1);
  }
  SECTION("by less than a second: it drifts") {
    for (int i = 0; i < 10; ++i) {
      world.clock.Set(-absl::Milliseconds(900));
      CHECK(process->Count("set back") == 0);
    }
  }
  SECTION("and the append fails, before it was stored or after") {
    const Failure failure = GENERATE(Failure::kLostBeforeStored, Failure::kLostAfterStored);
    world.database->FailNextAppend(failure);
    world.clock.Set(-absl::Hours(1));
    CHECK_FALSE(process->Promote("a").ok());
    process->executor.Advance(absl::Seconds(1));
    CHECK(process->Count("set back") == 1);
    CHECK(process->Count("set back") == 1);
  }
  SECTION("while no process leads: back is known, ahead is taken for time that went by") {
    process.reset();
    const bool back = GENERATE(true, false);
    world.clock.Set(back ? -absl::Hours(1) : absl::Hours(1));
    process = std::make_unique<Process>(&world);
    // Also where that one ends at once.
    if (GENERATE(true, false)) {
      process.reset();
      process = std::make_unique<Process>(&world);
    }
    CHECK(process->Count("set back") == (back ? 1 : 0));
    CHECK(process->Count("set ahead") == 0);
  }
}

TEST_CASE("a record that was changed is not loaded", "[eventlog][event_sourced]") {
  World world;
  {
    REQUIRE(Process(&world).Promote("a").ok());
  }
  {
    MemoryEventLog log(world.database, "counter");
    REQUIRE(log.TakeLease({"somebody"}, absl::Seconds(1)).ok());
    const size_t size = log.Read(0, 1000)->size();
    StoredRecord forged = log.Read(size - 1, 1)->front();
    forged.position = size + 1;
    REQUIRE(log.Append(size, {forged}, {}).ok());
    CHECK(size == 2);
  }
  Process process(&world);
  CHECK(process.started.code() == absl::StatusCode::kDataLoss);
  CHECK_THAT(std::string(process.started.message()), Catch::Contains("stream counter, position 3"));
}

TEST_CASE("an event of a later version is not taken for one that is known",
          "[eventlog][event_sourced]") {
  World world;
  {
    REQUIRE(Process(&world).Promote("a").ok());
  }
  {
    MemoryEventLog log(world.database, "counter");
    REQUIRE(log.TakeLease({"somebody"}, absl::Seconds(1)).ok());
    const StoredRecord last = log.Read(1, 1)->front();
    eventlog::v1::Record record;
    REQUIRE(record.ParseFromString(last.bytes));
    record.set_position(3);
    record.mutable_events(0)->set_version(2);
    StoredRecord next{3, record.SerializeAsString(), ""};
    next.hash = Blake2b256({last.hash, next.bytes});
    REQUIRE(log.Append(2, {next}, {}).ok());
  }
  Process process(&world);
  CHECK(process.started.code() == absl::StatusCode::kDataLoss);
  CHECK_THAT(std::string(process.started.message()),
             Catch::Contains("stream counter, position 3") && Catch::Contains("version 2") &&
                 Catch::Contains("run the version that wrote it or a newer one"));
}

// Who watches the counts, from one process after another.
struct CountsWatch {
  void Follow(Process* process) {
    watcher = std::make_shared<Watcher>("counts", [] {});
    process->counter.writer().EnqueueWatch(watcher, client.revision(),
                                           [](absl::Status status) { REQUIRE(status.ok()); });
    process->executor.RunUntilIdle();
  }

  // Takes what there is; whether that was everything anew.
  bool TookSnapshot() {
    bool snapshot = false;
    for (WatchFrame frame = watcher->Next(); !frame.empty(); frame = watcher->Next()) {
      std::string bytes;
      for (const auto& piece : frame) bytes += *piece;
      watch::v1::WatchResponse message;
      REQUIRE(message.ParseFromString(bytes));
      const auto update = client.Receive(message);
      REQUIRE(update.status() == absl::OkStatus());
      snapshot = snapshot || update->snapshot;
    }
    return snapshot;
  }

  WatchClient client;
  std::shared_ptr<Watcher> watcher;
};

TEST_CASE("a watch sees a snapshot and every later change, and resumes after a restart",
          "[eventlog][event_sourced]") {
  World world;
  CountsWatch watch;
  {
    Process process(&world);
    REQUIRE(process.Promote("a").ok());
    watch.Follow(&process);
    CHECK(watch.TookSnapshot());
    CHECK(watch.client.entries() == WatchClient::Entries{{"a", "1"}});
    REQUIRE(process.Promote("b").ok());
    REQUIRE(process.Promote("a").ok());
    CHECK_FALSE(watch.TookSnapshot());
    CHECK(watch.client.entries() == WatchClient::Entries{{"a", "2"}, {"b", "1"}});
    REQUIRE(process.Promote("c").ok());
  }
  Process process(&world);
  watch.Follow(&process);
  CHECK_FALSE(watch.TookSnapshot());
  CHECK(watch.client.entries() == WatchClient::Entries{{"a", "2"}, {"b", "1"}, {"c", "1"}});
}

TEST_CASE("after a start, watches resume as far back as the rings were refilled",
          "[eventlog][event_sourced]") {
  LogWriter::Limits limits;
  limits.watch_refill_records = 2;
  limits.replay_chunk = 3;
  const int missed = GENERATE(0, 1, 2, 3, 7);
  INFO(missed);
  World world;
  CountsWatch watch;
  {
    Process process(&world);
    for (int i = 0; i < 4; ++i) REQUIRE(process.Promote("a").ok());
    watch.Follow(&process);
    watch.TookSnapshot();
    for (int i = 0; i < missed; ++i) REQUIRE(process.Promote("b").ok());
  }
  Process process(&world, limits);
  watch.Follow(&process);
  CHECK(watch.TookSnapshot() == (missed > 2));
  WatchClient::Entries entries{{"a", "4"}};
  if (missed > 0) entries["b"] = absl::StrCat(missed);
  CHECK(watch.client.entries() == entries);
}

TEST_CASE("while the log cannot be asked, nobody who resumes is told that history has changed",
          "[eventlog][event_sourced]") {
  World world;
  Process process(&world);
  REQUIRE(process.Promote("a").ok());
  const watch::v1::Revision seen = process.counter.writer().Head();
  REQUIRE(process.Promote("a").ok());
  absl::Status done;
  auto resume = [&] {
    auto watcher = std::make_shared<Watcher>("counts", [] {});
    process.counter.writer().EnqueueWatch(watcher, seen,
                                          [&](absl::Status status) { done = std::move(status); });
    process.executor.RunUntilIdle();
    return watcher;
  };
  world.database->Disconnect();
  resume();
  CHECK(absl::IsUnavailable(done));
  world.database->Reconnect();
  const std::shared_ptr<Watcher> watcher = resume();
  REQUIRE(done == absl::OkStatus());
  CHECK(watcher->Next().size() > 0);
}

// Two processes with one log, whose steps take turns on one clock.
struct Replicas {
  Process& Start(const std::string& address) {
    processes.push_back(std::make_unique<Process>(&world, LogWriter::Limits(), address));
    return *processes.back();
  }

  // Lets time pass for all but those that are stopped.
  void Advance(absl::Duration by) {
    const absl::Duration end = world.clock.Monotonic() + by;
    while (world.clock.Monotonic() < end) {
      world.clock.Advance(absl::Milliseconds(100));
      for (const auto& process : processes) {
        if (process.get() != stopped) process->executor.RunUntilIdle();
      }
    }
  }

  World world;
  std::vector<std::unique_ptr<Process>> processes;
  Process* stopped = nullptr;
};

TEST_CASE("a second process stands by and leads callers to the first", "[eventlog][replicas]") {
  Replicas replicas;
  Process& leader = replicas.Start("a:1");
  Process& standby = replicas.Start("b:1");
  CHECK(standby.started == absl::OkStatus());
  CHECK(leader.Leads());
  CHECK_FALSE(standby.Leads());
  CHECK(standby.counter.writer().numbers().standby);

  const absl::Status refused = standby.Promote("a").status();
  CHECK(absl::IsUnavailable(refused));
  CHECK(ReasonOf(refused) == reason::kNotLeader);
  CHECK(ReasonMetadataOf(refused).at("address") == "a:1");
  CHECK(*leader.Promote("a") == 1);
  replicas.Advance(absl::Seconds(60));
  CHECK(leader.Leads());
  // Side effects are the leader's alone.
  CHECK(standby.told.empty());
}

TEST_CASE("a standby has followed the log when it takes over", "[eventlog][replicas]") {
  Replicas replicas;
  Process& leader = replicas.Start("a:1");
  Process& standby = replicas.Start("b:1");
  CHECK(*leader.Promote("a", "r1") == 1);
  CHECK(*leader.Promote("a") == 2);
  replicas.Advance(LogWriter::Limits().follow_interval);
  CHECK(standby.counter.writer().numbers().position == 3);
  CHECK(leader.told == std::vector<std::string>{"leads", "published", "published"});

  SECTION("after a kill, within the lease and a look") {
    replicas.stopped = &leader;
    const LogWriter::Limits limits;
    replicas.Advance(limits.lease_duration - limits.lease_renewal - absl::Milliseconds(100));
    CHECK_FALSE(standby.Leads());
    replicas.Advance(limits.lease_renewal + limits.follow_interval + absl::Milliseconds(200));
  }
  SECTION("after a clean stop, at its next look") {
    replicas.processes.erase(replicas.processes.begin());
    replicas.Advance(LogWriter::Limits().follow_interval);
  }
  REQUIRE(standby.Leads());
  CHECK(standby.told == std::vector<std::string>{"leads"});
  CHECK(standby.Count("a") == 2);
  // A repeat gets the first answer from whoever leads.
  CHECK(*standby.Promote("a", "r1") == 1);
  CHECK(*standby.Promote("a") == 3);
}

TEST_CASE("a leader that was stopped says nothing any more, and follows the next one",
          "[eventlog][replicas]") {
  Replicas replicas;
  Process& first = replicas.Start("a:1");
  Process& second = replicas.Start("b:1");
  CHECK(*first.Promote("a", "r1") == 1);
  // What it was asked before it was stopped is still in its queue.
  absl::StatusOr<uint64_t> late = absl::InternalError("no answer");
  first.PromoteLater("a", "r2", &late);
  replicas.stopped = &first;
  replicas.Advance(absl::Seconds(30));
  REQUIRE(second.Leads());
  CHECK(*second.Promote("a", "r3") == 2);

  replicas.stopped = nullptr;
  CHECK_FALSE(first.Leads());
  first.executor.RunUntilIdle();
  CHECK(absl::IsUnavailable(late.status()));
  CHECK(first.told.back() == "stepped down");
  CHECK(ReasonMetadataOf(first.Promote("a").status()).at("address") == "b:1");
  CHECK(second.Leads());
  CHECK(second.Count("a") == 2);
  CHECK(first.counter.writer().numbers().position == second.counter.writer().numbers().position);
}

TEST_CASE("a lease that nobody else took is taken up again, and what was open begins anew",
          "[eventlog][replicas]") {
  Replicas replicas;
  Process& only = replicas.Start("a:1");
  CHECK(*only.Promote("a") == 1);
  replicas.world.database->Disconnect();
  replicas.Advance(absl::Seconds(20));
  CHECK_FALSE(only.Leads());
  CHECK(ReasonOf(only.Promote("a").status()) == reason::kNotReady);
  replicas.world.database->Reconnect();
  replicas.Advance(absl::Seconds(2));
  CHECK(only.Leads());
  CHECK(only.told == std::vector<std::string>{"leads", "published", "stepped down", "leads"});
  CHECK(*only.Promote("a") == 2);
}

TEST_CASE("an answer that comes late does not make a lease longer", "[eventlog][replicas]") {
  // A log that takes four seconds to give a lease.
  struct Slow : MemoryEventLog {
    explicit Slow(World* in) : MemoryEventLog(in->database, "counter"), world(in) {}
    absl::Status TakeLease(const LeaseHolder& holder, absl::Duration duration) override {
      const absl::Status status = MemoryEventLog::TakeLease(holder, duration);
      world->clock.Advance(absl::Seconds(4));
      return status;
    }
    World* world;
  };
  World world;
  Slow log(&world);
  ManualExecutor executor(&world.clock);
  SequentialIdSource ids;
  EventSourced<Counter> counter("counter", LogWriter::Limits(), &log, &executor, &world.clock,
                                &ids);
  counter.Start({"test"}, [](const absl::Status&) {});
  executor.RunUntilIdle();
  CHECK(counter.writer().Leading().ok());
  world.clock.Advance(absl::Seconds(1));
  CHECK_FALSE(counter.writer().Leading().ok());
}

TEST_CASE("a standby whose next record does not follow reads the log anew",
          "[eventlog][replicas]") {
  Replicas replicas;
  Process& leader = replicas.Start("a:1");
  Process& standby = replicas.Start("b:1");
  CHECK(*leader.Promote("a") == 1);
  CHECK(*leader.Promote("a") == 2);
  replicas.Advance(LogWriter::Limits().follow_interval);
  REQUIRE(standby.counter.writer().numbers().position == 3);
  // A database that failed over and lost its newest records goes on with others.
  replicas.processes.erase(replicas.processes.begin());
  replicas.world.database->LoseRecordsAfter("counter", 2);
  SECTION("written by a leader that had not seen them") {
    Process& other = replicas.Start("c:1");
    REQUIRE(other.Leads());
    CHECK(*other.Promote("b") == 1);
    CHECK(*other.Promote("b") == 2);
    replicas.Advance(LogWriter::Limits().follow_interval);
    replicas.processes.pop_back();
    replicas.Advance(LogWriter::Limits().follow_interval);
    REQUIRE(standby.Leads());
    CHECK(standby.Count("b") == 2);
  }
  SECTION("as many of them as were lost, so that only their hashes differ") {
    Process& other = replicas.Start("c:1");  // Leads, which is one record.
    REQUIRE(other.Leads());
    replicas.processes.pop_back();
    replicas.Advance(LogWriter::Limits().follow_interval);
    REQUIRE(standby.Leads());
  }
  SECTION("or with none") {
    replicas.Advance(LogWriter::Limits().follow_interval);
    REQUIRE(standby.Leads());
  }
  CHECK(standby.Count("a") == 1);
  // Whoever reads all of it finds that it chains.
  replicas.processes.clear();
  CHECK(replicas.Start("d:1").Count("a") == 1);
}

TEST_CASE("two processes that start at once become one leader and one standby",
          "[eventlog][replicas]") {
  Replicas replicas;
  Process& one = replicas.Start("a:1");
  Process& other = replicas.Start("b:1");
  CHECK(one.Leads() != other.Leads());
  CHECK(*one.Promote("a") == 1);
  // They take the lead from each other as often as they are stopped, and lose nothing.
  uint64_t count = 1;
  for (int i = 0; i < 6; ++i) {
    replicas.stopped = one.Leads() ? &one : &other;
    Process& next = one.Leads() ? other : one;
    replicas.Advance(absl::Seconds(6));
    REQUIRE(next.Leads());
    CHECK(*next.Promote("a") == ++count);
  }
}

TEST_CASE("a full queue refuses with a retry delay", "[eventlog][event_sourced]") {
  World world;
  Process process(&world);
  std::vector<absl::StatusOr<uint64_t>> answers(LogWriter::Limits().queue_max + 1,
                                                absl::InternalError("no answer"));
  for (auto& answer : answers) process.PromoteLater("a", "", &answer);
  CHECK(answers.back().status().code() == absl::StatusCode::kResourceExhausted);
  CHECK(RetryDelayOf(answers.back().status()).has_value());
  process.executor.RunUntilIdle();
  CHECK(*answers.front() == 1);
}

}  // namespace
}  // namespace berth
