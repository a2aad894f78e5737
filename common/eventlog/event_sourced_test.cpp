#include "common/eventlog/event_sourced.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "berth/config/v1/config.pb.h"
#include "berth/config/v1/events.pb.h"
#include "common/clock/manual_clock.h"
#include "common/eventlog/memory_event_log.h"
#include "common/executor/manual_executor.h"
#include "common/ids/sequential_id_source.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"
#include "common/watch/watch_client.h"

namespace berth {
namespace {

// The smallest state there is: how often each environment was promoted. It borrows config's events.
class Counter {
 public:
  using Event = config::v1::Event;

  Decided<Event, config::v1::RollbackResponse> Promote(const std::string& app,
                                                       const DecisionContext&) const {
    if (app.empty()) return absl::InvalidArgumentError("an app has a name");
    Decision<Event, config::v1::RollbackResponse> decision;
    auto* promoted = decision.events.emplace_back().mutable_release_promoted();
    promoted->mutable_environment()->set_app(app);
    promoted->set_promotion(Count(app) + 1);
    decision.response.set_promotion(Count(app) + 1);
    return decision;
  }

  void Apply(const Event& event) {
    counts_[event.release_promoted().environment().app()] = event.release_promoted().promotion();
  }

  void Touched(const Event& event, std::set<TopicKey>* keys) const {
    keys->insert({"counts", event.release_promoted().environment().app()});
  }
  std::optional<std::string> View(const TopicKey& key) const {
    return absl::StrCat(counts_.at(key.second));
  }
  TopicEntries Entries(const std::string&) const {
    TopicEntries entries;
    for (const auto& [app, count] : counts_) entries.emplace_back(app, absl::StrCat(count));
    return entries;
  }

  uint64_t Count(const std::string& app) const {
    const auto found = counts_.find(app);
    return found == counts_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, uint64_t> counts_;
};

// What survives a process: time, and the database.
struct World {
  ManualClock clock;
  std::shared_ptr<MemoryDatabase> database = std::make_shared<MemoryDatabase>(&clock);
};

// One life of a service.
struct Process {
  explicit Process(World* world)
      : log(world->database, "counter"),
        executor(&world->clock),
        counter("counter", LogWriter::Limits(), &log, &executor, &world->clock, &ids) {
    counter.Start("test", [this](absl::Status status) { started = status; });
    executor.RunUntilIdle();
  }

  absl::StatusOr<uint64_t> Promote(const std::string& app, const std::string& request_id = "") {
    absl::StatusOr<uint64_t> answer = absl::InternalError("no answer");
    PromoteLater(app, request_id, &answer);
    executor.RunUntilIdle();
    return answer;
  }

  void PromoteLater(const std::string& app, const std::string& request_id,
                    absl::StatusOr<uint64_t>* answer) {
    CommandOrigin origin;
    origin.principal = "user/a";
    origin.method = "Promote";
    origin.request_id = request_id;
    origin.fingerprint = app;
    counter.Execute<config::v1::RollbackResponse>(
        origin, Recorded::kAlways,
        [app](const Counter& state, const DecisionContext& context) {
          return state.Promote(app, context);
        },
        [answer](absl::StatusOr<config::v1::RollbackResponse> response) {
          if (response.ok()) {
            *answer = response->promotion();
          } else {
            *answer = response.status();
          }
        });
  }

  uint64_t Count(const std::string& app) {
    absl::StatusOr<uint64_t> count = absl::InternalError("no answer");
    counter.Read<uint64_t>(
        [app](const Counter& state) -> absl::StatusOr<uint64_t> { return state.Count(app); },
        [&](absl::StatusOr<uint64_t> answer) { count = answer; });
    executor.RunUntilIdle();
    REQUIRE(count.ok());
    return *count;
  }

  size_t Records() { return log.Read(0, 1000)->size(); }

  SequentialIdSource ids;
  MemoryEventLog log;
  ManualExecutor executor;
  absl::Status started = absl::UnknownError("not started");
  EventSourced<Counter> counter;
};

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

TEST_CASE("an append that fails takes back what was decided", "[eventlog][event_sourced]") {
  World world;
  Process process(&world);
  CHECK(*process.Promote("a") == 1);
  SECTION("before it was stored") {
    world.database->FailNextAppend(MemoryDatabase::AppendFailure::kLostBeforeStored);
    CHECK(process.Promote("a", "r1").status().code() == absl::StatusCode::kUnavailable);
    CHECK(process.Count("a") == 1);
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

TEST_CASE("a record that was changed is not loaded", "[eventlog][event_sourced]") {
  World world;
  {
    REQUIRE(Process(&world).Promote("a").ok());
  }
  {
    MemoryEventLog log(world.database, "counter");
    REQUIRE(log.TakeLease("somebody", absl::Seconds(1)).ok());
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

TEST_CASE("a watch sees a snapshot and every later change, and resumes after a restart",
          "[eventlog][event_sourced]") {
  World world;
  WatchClient client;
  auto follow = [&client](Process* process) {
    auto watcher = std::make_shared<Watcher>("counts", [] {});
    process->counter.writer().EnqueueWatch(watcher, client.revision(),
                                           [](absl::Status status) { REQUIRE(status.ok()); });
    process->executor.RunUntilIdle();
    return watcher;
  };
  bool snapshot = false;
  auto drain = [&](Watcher* watcher) {
    snapshot = false;
    for (WatchFrame frame = watcher->Next(); !frame.empty(); frame = watcher->Next()) {
      std::string bytes;
      for (const auto& piece : frame) bytes += *piece;
      watch::v1::WatchResponse message;
      REQUIRE(message.ParseFromString(bytes));
      const auto update = client.Receive(message);
      REQUIRE(update.status() == absl::OkStatus());
      snapshot = snapshot || update->snapshot;
    }
  };
  {
    Process process(&world);
    REQUIRE(process.Promote("a").ok());
    auto watcher = follow(&process);
    drain(watcher.get());
    CHECK(snapshot);
    CHECK(client.entries() == WatchClient::Entries{{"a", "1"}});
    REQUIRE(process.Promote("b").ok());
    REQUIRE(process.Promote("a").ok());
    drain(watcher.get());
    CHECK(client.entries() == WatchClient::Entries{{"a", "2"}, {"b", "1"}});
    REQUIRE(process.Promote("c").ok());
  }
  Process process(&world);
  auto watcher = follow(&process);
  drain(watcher.get());
  CHECK_FALSE(snapshot);
  CHECK(client.entries() == WatchClient::Entries{{"a", "2"}, {"b", "1"}, {"c", "1"}});
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
