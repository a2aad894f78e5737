#include "common/eventlog/event_sourced.h"

#include <catch2/catch.hpp>
#include <string>

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

TEST_CASE("an event of a later version is not taken for one that is known",
          "[eventlog][event_sourced]") {
  World world;
  {
    REQUIRE(Process(&world).Promote("a").ok());
  }
  {
    MemoryEventLog log(world.database, "counter");
    REQUIRE(log.TakeLease("somebody", absl::Seconds(1)).ok());
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
