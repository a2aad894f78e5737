// A state as it was at a moment of the past.

#include "common/eventlog/replay.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/eventlog/logged_state.h"
#include "common/eventlog/model_counter.h"
#include "common/eventlog/snapshot_row.h"
#include "common/testing/printers.h"
#include "common/time/timestamp.h"

namespace berth {
namespace {

types::v1::Moment At(uint64_t position) {
  types::v1::Moment moment;
  moment.set_position(position);
  return moment;
}

types::v1::Moment At(absl::Time time) {
  types::v1::Moment moment;
  *moment.mutable_time() = ToTimestamp(time);
  return moment;
}

LogWriter::Limits SnapshotEvery(uint64_t records) {
  LogWriter::Limits limits;
  limits.snapshot_records = records;
  return limits;
}

struct Past {
  absl::Status status;
  types::v1::RecordReference at;
  LoggedStateOf<Counter> state;
  int steps = 0;

  uint64_t Count(const std::string& app) const { return state.state().Count(app); }
};

// The counter at a moment, with all that the log holds taken for durable.
std::unique_ptr<Past> Replayed(const World& world, const types::v1::Moment& moment) {
  MemoryEventLog log(world.database, "counter");
  auto past = std::make_unique<Past>();
  Replay replay("counter", moment, log.Read(0, 10'000)->size(), &past->state);
  absl::StatusOr<bool> there = false;
  while (there.ok() && !*there) {
    there = replay.Step(&log);
    ++past->steps;
  }
  past->status = there.status();
  past->at = replay.at();
  return past;
}

TEST_CASE("a replay gives the state right after a position", "[eventlog][replay]") {
  World world;
  Process process(&world);  // Position 1: LeaderStarted.
  REQUIRE(process.Promote("a").ok());
  REQUIRE(process.Promote("b").ok());
  REQUIRE(process.Promote("a").ok());

  CHECK(Replayed(world, At(1))->Count("a") == 0);
  CHECK(Replayed(world, At(2))->Count("a") == 1);
  CHECK(Replayed(world, At(2))->Count("b") == 0);
  const auto newest = Replayed(world, At(4));
  CHECK(newest->Count("a") == 2);
  CHECK(newest->Count("b") == 1);
  CHECK(newest->at.stream() == "counter");
  CHECK(newest->at.position() == 4);
  CHECK(newest->at.actor().empty());
  for (const uint64_t position : {0, 5}) {
    CHECK(absl::IsOutOfRange(Replayed(world, At(position))->status));
  }
  CHECK(absl::IsInvalidArgument(Replayed(world, types::v1::Moment())->status));
}

TEST_CASE("a time means the newest record that is not later", "[eventlog][replay]") {
  World world;
  const absl::Time begin = world.clock.Now();
  Process process(&world);
  constexpr int kPromotions = 9;
  for (int i = 0; i < kPromotions; ++i) {
    process.executor.Advance(absl::Seconds(10));
    REQUIRE(process.Promote("a").ok());
  }
  CHECK(absl::IsOutOfRange(Replayed(world, At(begin - absl::Nanoseconds(1)))->status));
  CHECK(Replayed(world, At(begin))->at.position() == 1);
  for (int i = 1; i <= kPromotions; ++i) {
    const absl::Time promoted = begin + i * absl::Seconds(10);
    const auto count = static_cast<uint64_t>(i);
    CHECK(Replayed(world, At(promoted - absl::Nanoseconds(1)))->Count("a") == count - 1);
    const auto then = Replayed(world, At(promoted));
    CHECK(then->Count("a") == count);
    CHECK(FromTimestamp(then->at.time()) == promoted);
  }
  CHECK(Replayed(world, At(begin + absl::Hours(24)))->Count("a") == kPromotions);
}

TEST_CASE("a replay begins at a snapshot that is not later", "[eventlog][replay]") {
  World world;
  {
    Process process(&world, SnapshotEvery(5));
    for (int i = 0; i < 7; ++i) REQUIRE(process.Promote("a").ok());
  }
  // The snapshot, as of position 5, says what no record says: so it is seen where it was used.
  {
    MemoryEventLog log(world.database, "counter");
    auto snapshot = *FromRow(**log.GetRow(kSnapshotRowKey));
    REQUIRE(snapshot.position() == 5);
    config::v1::StateSnapshot state;
    REQUIRE(state.ParseFromString(snapshot.state()));
    config::v1::SavedEnvironment& more = *state.add_environments();
    more.set_key("seen");
    more.set_promotion(1);
    snapshot.set_state(state.SerializeAsString());
    SECTION("usable") {
      REQUIRE(log.TakeLease({"somebody"}, absl::Seconds(1)).ok());
      REQUIRE(log.Append(8, {}, {{kSnapshotRowKey, ToRow(snapshot)}}).ok());
      CHECK(Replayed(world, At(4))->Count("seen") == 0);
      CHECK(Replayed(world, At(4))->Count("a") == 3);
      CHECK(Replayed(world, At(5))->Count("seen") == 1);
      CHECK(Replayed(world, At(5))->Count("a") == 4);
      CHECK(Replayed(world, At(7))->Count("seen") == 1);
      CHECK(Replayed(world, At(7))->Count("a") == 6);
    }
    SECTION("of another history") {
      snapshot.set_record_hash(std::string(32, 'x'));
      REQUIRE(log.TakeLease({"somebody"}, absl::Seconds(1)).ok());
      REQUIRE(log.Append(8, {}, {{kSnapshotRowKey, ToRow(snapshot)}}).ok());
      CHECK(Replayed(world, At(7))->Count("seen") == 0);
      CHECK(Replayed(world, At(7))->Count("a") == 6);
    }
  }
}

TEST_CASE("one step of a replay reads a bounded number of records", "[eventlog][replay]") {
  World world;
  Process process(&world);
  const auto promotions = static_cast<int>(2 * Replay::kStepRecords);
  for (int i = 0; i < promotions; ++i) REQUIRE(process.Promote("a").ok());
  const auto newest = Replayed(world, At(2 * Replay::kStepRecords));
  CHECK(newest->Count("a") == 2 * Replay::kStepRecords - 1);
  // One finds the moment, two read.
  CHECK(newest->steps == 3);
}

TEST_CASE("a record that was changed is not replayed", "[eventlog][replay]") {
  World world;
  {
    Process process(&world);
    REQUIRE(process.Promote("a").ok());
  }
  MemoryEventLog log(world.database, "counter");
  StoredRecord forged = log.Read(1, 1)->front();
  forged.position = 3;
  eventlog::v1::Record record;
  REQUIRE(record.ParseFromString(forged.bytes));
  record.set_position(3);
  forged.bytes = record.SerializeAsString();
  REQUIRE(log.TakeLease({"somebody"}, absl::Seconds(1)).ok());
  REQUIRE(log.Append(2, {forged}, {}).ok());
  CHECK(Replayed(world, At(2))->Count("a") == 1);
  CHECK(absl::IsDataLoss(Replayed(world, At(3))->status));
}

}  // namespace
}  // namespace berth
