// Starts from snapshots: what survives them, and what is not taken for one.

#include <catch2/catch.hpp>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/eventlog/model_counter.h"
#include "common/eventlog/snapshot_row.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"
#include "common/watch/watch_client.h"

namespace berth {
namespace {

LogWriter::Limits SnapshotEvery(uint64_t records) {
  LogWriter::Limits limits;
  limits.snapshot_records = records;
  return limits;
}

// nullopt: there is none.
std::optional<eventlog::v1::Snapshot> SnapshotIn(const World& world) {
  MemoryEventLog log(world.database, "counter");
  const std::optional<std::string> row = *log.GetRow(kSnapshotRowKey);
  if (!row.has_value()) return std::nullopt;
  return *FromRow(*row);
}

void PutRow(const World& world, const std::string& row) {
  MemoryEventLog log(world.database, "counter");
  REQUIRE(log.TakeLease({"somebody"}, absl::Seconds(1)).ok());
  REQUIRE(log.Append(log.Read(0, 1000)->size(), {}, {{kSnapshotRowKey, row}}).ok());
}

// A snapshot that says of app a what no record says.
eventlog::v1::Snapshot Saying(eventlog::v1::Snapshot snapshot, uint64_t count) {
  config::v1::StateSnapshot state;
  REQUIRE(state.ParseFromString(snapshot.state()));
  state.mutable_environments(0)->set_promotion(count);
  snapshot.set_state(state.SerializeAsString());
  return snapshot;
}

TEST_CASE("a start takes up the snapshot and what came after it", "[eventlog][snapshots]") {
  World world;
  {
    Process process(&world, SnapshotEvery(5));
    for (int i = 0; i < 7; ++i) REQUIRE(process.Promote("a").ok());
  }
  const auto snapshot = SnapshotIn(world);
  REQUIRE(snapshot.has_value());
  CHECK(snapshot->position() == 5);
  // LeaderStarted and four promotions are in it, three came after.
  Process process(&world);
  CHECK(process.Count("a") == 7);
  CHECK(*process.Promote("a") == 8);
}

TEST_CASE("what a snapshot covers is not replayed", "[eventlog][snapshots]") {
  World world;
  {
    Process process(&world, SnapshotEvery(3));
    REQUIRE(process.Promote("a").ok());
    REQUIRE(process.Promote("a").ok());
    REQUIRE(process.Promote("b").ok());
  }
  PutRow(world, ToRow(Saying(*SnapshotIn(world), 100)));
  Process process(&world);
  CHECK(process.Count("a") == 100);
  CHECK(process.Count("b") == 1);
}

TEST_CASE("a snapshot that cannot be used is not, and the whole log is replayed",
          "[eventlog][snapshots]") {
  World world;
  {
    Process process(&world, SnapshotEvery(3));
    for (int i = 0; i < 4; ++i) REQUIRE(process.Promote("a", absl::StrCat("r", i)).ok());
  }
  // All of these say that it was promoted 100 times.
  eventlog::v1::Snapshot wrong = Saying(*SnapshotIn(world), 100);
  SECTION("of another record") {
    wrong.set_record_hash(std::string(32, 'x'));
    PutRow(world, ToRow(wrong));
  }
  SECTION("of a position that the log has not reached") {
    wrong.set_position(1000);
    PutRow(world, ToRow(wrong));
  }
  SECTION("of no position") {
    wrong.set_position(0);
    PutRow(world, ToRow(wrong));
  }
  SECTION("of another stream") {
    wrong.set_stream("another");
    PutRow(world, ToRow(wrong));
  }
  SECTION("of another version's state") {
    wrong.set_state_format("another");
    PutRow(world, ToRow(wrong));
  }
  SECTION("with a state that is none") {
    wrong.set_state("\xff");
    PutRow(world, ToRow(wrong));
  }
  SECTION("with requests that are none") {
    wrong.mutable_requests()->add_keys(1);
    PutRow(world, ToRow(wrong));
  }
  SECTION("with a flipped bit") {
    std::string row = ToRow(wrong);
    row[row.size() / 2] = static_cast<char>(row[row.size() / 2] ^ 1);
    PutRow(world, row);
  }
  SECTION("cut") { PutRow(world, ToRow(wrong).substr(0, 20)); }
  Process process(&world, SnapshotEvery(3));
  REQUIRE(process.started == absl::OkStatus());
  CHECK(process.Count("a") == 4);
  // Repeats are known as such, and another snapshot takes the place of the wrong one.
  CHECK(*process.Promote("a", "r0") == 1);
  CHECK(*process.Promote("a") == 5);
  CHECK(SnapshotIn(world)->position() == 7);
}

TEST_CASE("a repeat gets the first answer after a start from a snapshot", "[eventlog][snapshots]") {
  World world;
  {
    Process process(&world, SnapshotEvery(4));
    CHECK(*process.Promote("a", "r1") == 1);
    CHECK(process.Promote("", "r2").status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(*process.Promote("a", "r3") == 2);
    CHECK(*process.Promote("a", "r4") == 3);
  }
  REQUIRE(SnapshotIn(world)->position() == 4);
  Process process(&world);
  CHECK(*process.Promote("a", "r1") == 1);
  CHECK(process.Promote("", "r2").status() == absl::InvalidArgumentError("an app has a name"));
  CHECK(*process.Promote("a", "r4") == 3);
  CHECK(ReasonOf(process.Promote("b", "r3").status()) == reason::kRequestIdReused);
  CHECK(process.Count("a") == 3);
}

TEST_CASE("a snapshot waits until as much has come as the last one holds",
          "[eventlog][snapshots]") {
  World world;
  Process process(&world, SnapshotEvery(3));
  // Large by what it counts, not by what came.
  for (int i = 0; i < 200; ++i) REQUIRE(process.Promote(absl::StrCat("app-", i)).ok());
  const uint64_t first = SnapshotIn(world)->position();
  const size_t held = SnapshotIn(world)->state().size();
  uint64_t next = first;
  size_t came = 0;
  while (next == first) {
    REQUIRE(process.Promote("a").ok());
    came += process.log.Read(process.Records() - 1, 1)->front().bytes.size();
    next = SnapshotIn(world)->position();
  }
  CHECK(came <= held + 500);
  CHECK(next - first >= 3);
}

TEST_CASE("a disk that is too full for a snapshot is not for what is smaller",
          "[eventlog][snapshots]") {
  World world;
  Process process(&world, SnapshotEvery(3));
  REQUIRE(process.Promote("a").ok());
  world.database->FailNextAppend(MemoryDatabase::AppendFailure::kDiskFull);
  CHECK(process.Promote("a").status().code() == absl::StatusCode::kResourceExhausted);
  process.executor.Advance(absl::Seconds(1));
  REQUIRE(process.Promote("a").ok());
  CHECK_FALSE(SnapshotIn(world).has_value());
  REQUIRE(process.Promote("a").ok());
  REQUIRE(process.Promote("a").ok());
  CHECK_FALSE(SnapshotIn(world).has_value());
  REQUIRE(process.Promote("a").ok());
  CHECK(SnapshotIn(world)->position() == 6);
}

TEST_CASE("a watch resumes after a start where the tail reaches back, and begins anew elsewhere",
          "[eventlog][snapshots]") {
  World world;
  std::vector<watch::v1::Revision> revisions;
  {
    Process process(&world, SnapshotEvery(5));
    for (int i = 0; i < 7; ++i) {
      REQUIRE(process.Promote("a").ok());
      revisions.push_back(process.counter.writer().Head());
    }
  }
  REQUIRE(SnapshotIn(world)->position() == 5);
  Process process(&world);
  auto begins_with = [&process](const watch::v1::Revision& resume) {
    auto watcher = std::make_shared<Watcher>("counts", [] {});
    process.counter.writer().EnqueueWatch(watcher, resume,
                                          [](absl::Status status) { REQUIRE(status.ok()); });
    process.executor.RunUntilIdle();
    std::string bytes;
    for (const auto& piece : watcher->Next()) bytes += *piece;
    watch::v1::WatchResponse message;
    REQUIRE(message.ParseFromString(bytes));
    return message;
  };
  CHECK(begins_with(revisions[4]).deltas_size() > 0);  // Position 6.
  const watch::v1::WatchResponse anew = begins_with(revisions[0]);
  REQUIRE(anew.has_begin());
  CHECK_FALSE(anew.begin().history_changed());
}

TEST_CASE("once a day's commands fill the index, new ones are refused and repeats are not",
          "[eventlog][snapshots]") {
  World world;
  LogWriter::Limits limits;
  limits.request_ids_max = 2;
  limits.lease_duration = absl::Hours(100);
  Process process(&world, limits);
  CHECK(*process.Promote("a", "r1") == 1);
  world.clock.Advance(absl::Hours(1));
  CHECK(*process.Promote("a", "r2") == 2);
  const absl::Status refused = process.Promote("a", "r3").status();
  CHECK(refused.code() == absl::StatusCode::kResourceExhausted);
  CHECK(ReasonOf(refused) == reason::kRequestsFull);
  CHECK(RetryDelayOf(refused) == absl::Hours(23) + absl::Seconds(1));
  // What cannot be repeated needs no room, and what was answered before has it.
  CHECK(*process.Promote("a") == 3);
  CHECK(*process.Promote("a", "r1") == 1);
  world.clock.Advance(absl::Hours(23) + absl::Seconds(1));
  process.executor.RunUntilIdle();
  CHECK(*process.Promote("a", "r3") == 4);
}

}  // namespace
}  // namespace berth
