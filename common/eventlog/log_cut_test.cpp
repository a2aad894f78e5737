// Logs whose oldest records are cut off.

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/crypto/hash.h"
#include "common/eventlog/log_begin.h"
#include "common/eventlog/log_verifier.h"
#include "common/eventlog/model_counter.h"
#include "common/eventlog/model_cut.h"
#include "common/eventlog/replay.h"
#include "common/eventlog/snapshot_row.h"
#include "common/testing/printers.h"
#include "common/time/timestamp.h"

namespace berth {
namespace {

LogWriter::Limits Limits(uint64_t snapshot_records = 10'000) {
  LogWriter::Limits limits;
  limits.snapshot_records = snapshot_records;
  limits.erase_chunk = 2;
  return limits;
}

// The status of a replay up to `position`, and how often a was promoted then.
std::pair<absl::Status, uint64_t> ReplayTo(const World& world, uint64_t position) {
  const auto log = Reader(world);
  LoggedStateOf<Counter> state;
  Replay replay("counter", At(position), log->ReadRows()->position, &state);
  absl::StatusOr<bool> there = false;
  while (there.ok() && !*there) there = replay.Step(log.get());
  return {there.status(), state.state().Count("a")};
}

absl::Status Verify(LogReader* log) {
  LogVerifier verifier("counter", std::make_unique<LoggedStateOf<Counter>>());
  BERTH_CHECK(verifier.ExpectRowsOf(log).ok());
  while (true) {
    const absl::StatusOr<bool> more = verifier.Step(log, 3);
    if (!more.ok()) return more.status();
    if (!*more) return absl::OkStatus();
  }
}

// How a watch that has this revision goes on.
struct Resumed {
  bool snapshot = false;
  bool history_changed = false;
};

Resumed Resume(Process* process, const watch::v1::Revision& revision) {
  const auto watcher = std::make_shared<Watcher>("counts", [] {});
  process->counter.writer().EnqueueWatch(
      watcher, revision, [](absl::Status status) { REQUIRE(status == absl::OkStatus()); });
  process->executor.RunUntilIdle();
  Resumed resumed;
  while (true) {
    std::string bytes;
    for (const auto& piece : watcher->Next()) bytes += *piece;
    if (bytes.empty()) return resumed;
    watch::v1::WatchResponse response;
    REQUIRE(response.ParseFromString(bytes));
    if (!response.has_begin()) continue;
    resumed.snapshot = true;
    resumed.history_changed = response.begin().history_changed();
  }
}

TEST_CASE("a log that was cut begins with the state that it had there", "[eventlog][cut]") {
  World world;
  {
    Process process(&world, Limits());  // Position 1: LeaderStarted.
    for (int i = 0; i < 7; ++i) REQUIRE(process.Promote("a").ok());
    REQUIRE(Cut(world, &process, 5) == absl::OkStatus());  // Position 9: LogCut.
    CHECK(process.counter.writer().numbers().cut_position == 5);
    process.executor.Advance(absl::Seconds(1));
    CHECK(*process.Promote("a") == 8);
  }
  const auto log = Reader(world);
  CHECK(absl::IsDataLoss(log->Read(4, 1).status()));
  CHECK(log->Read(5, 1)->front().position == 6);
  CHECK(Verify(log.get()) == absl::OkStatus());
  Process process(&world, Limits());
  REQUIRE(process.started == absl::OkStatus());
  CHECK(process.Count("a") == 8);
  CHECK(*process.Promote("a") == 9);
  CHECK(Verify(log.get()) == absl::OkStatus());
}

TEST_CASE("the past goes back to where a log was cut, and says so", "[eventlog][cut][replay]") {
  World world;
  Process process(&world, Limits());
  const absl::Time begin = world.clock.Now();
  for (int i = 0; i < 7; ++i) {
    process.executor.Advance(absl::Seconds(10));
    REQUIRE(process.Promote("a").ok());
  }
  REQUIRE(Cut(world, &process, 5) == absl::OkStatus());
  process.executor.Advance(absl::Seconds(1));
  CHECK(ReplayTo(world, 6) == std::pair(absl::OkStatus(), uint64_t{5}));
  CHECK(ReplayTo(world, 8) == std::pair(absl::OkStatus(), uint64_t{7}));
  for (const uint64_t position : {1, 5}) {
    const absl::Status refused = ReplayTo(world, position).first;
    CHECK(absl::IsOutOfRange(refused));
    CHECK_THAT(std::string(refused.message()),
               Catch::Contains("begins at position 6") && Catch::Contains("retention"));
  }
  const auto log = Reader(world);
  LoggedStateOf<Counter> state;
  types::v1::Moment moment;
  *moment.mutable_time() = ToTimestamp(begin + absl::Seconds(45));
  Replay replay("counter", moment, 9, &state);
  const absl::Status refused = replay.Step(log.get()).status();
  CHECK(absl::IsOutOfRange(refused));
  CHECK_THAT(std::string(refused.message()), Catch::Contains("retention"));
}

TEST_CASE("a log is cut again, and never back", "[eventlog][cut]") {
  World world;
  {
    Process process(&world, Limits());
    for (int i = 0; i < 7; ++i) REQUIRE(process.Promote("a").ok());
    REQUIRE(Cut(world, &process, 3) == absl::OkStatus());
    process.executor.Advance(absl::Seconds(1));
    REQUIRE(Cut(world, &process, 6) == absl::OkStatus());
    process.executor.Advance(absl::Seconds(1));
    SavedState before;
    before.position = 4;
    absl::Status refused;
    process.counter.writer().EnqueueCut(before, world.clock.Now(),
                                        [&](absl::Status status) { refused = std::move(status); });
    process.executor.RunUntilIdle();
    CHECK(absl::IsFailedPrecondition(refused));
    CHECK(process.log.Read(6, 1000)->size() == 4);
  }
  Process process(&world, Limits());
  CHECK(process.Count("a") == 7);
  CHECK(Verify(Reader(world).get()) == absl::OkStatus());
}

TEST_CASE("a process that ends before all was erased leaves that to the next one",
          "[eventlog][cut]") {
  World world;
  {
    Process process(&world, Limits());
    for (int i = 0; i < 7; ++i) REQUIRE(process.Promote("a").ok());
    REQUIRE(Cut(world, &process, 6) == absl::OkStatus());
  }
  const auto log = Reader(world);
  // Two were erased at once, and nobody reads the others.
  CHECK(log->Read(2, 1)->front().position == 3);
  CHECK(absl::IsOutOfRange(ReplayTo(world, 4).first));
  CHECK(Verify(log.get()) == absl::OkStatus());
  Process process(&world, Limits());
  CHECK(process.Count("a") == 7);
  process.executor.Advance(absl::Seconds(1));
  CHECK(log->Read(6, 1)->front().position == 7);
  CHECK(absl::IsDataLoss(log->Read(5, 1).status()));
}

TEST_CASE("a snapshot of what is cut off goes with it, and a later one stays",
          "[eventlog][cut][snapshots]") {
  World world;
  const uint64_t cut = GENERATE(4, 5, 6);
  {
    Process process(&world, Limits(5));  // A snapshot as of position 5.
    for (int i = 0; i < 6; ++i) REQUIRE(process.Promote("a").ok());
    REQUIRE(Cut(world, &process, cut) == absl::OkStatus());
    process.executor.Advance(absl::Seconds(1));
    const std::optional<std::string> row = *process.log.GetRow(kSnapshotRowKey);
    if (cut < 5) {
      CHECK(FromRow(*row)->position() == 5);
    } else if (row.has_value()) {
      // Without one, another was due.
      CHECK(FromRow(*row)->position() > cut);
    }
  }
  CHECK(Verify(Reader(world).get()) == absl::OkStatus());
  Process process(&world, Limits(5));
  CHECK(process.Count("a") == 6);
}

TEST_CASE("a cut that may have failed is not taken for one, or is one", "[eventlog][cut]") {
  using Failure = MemoryDatabase::AppendFailure;
  const Failure failure =
      GENERATE(Failure::kLostBeforeStored, Failure::kLostAfterStored, Failure::kDiskFull);
  World world;
  Process process(&world, Limits());
  for (int i = 0; i < 5; ++i) REQUIRE(process.Promote("a").ok());
  world.database->FailNextAppend(failure);
  CHECK_FALSE(Cut(world, &process, 3).ok());
  process.executor.Advance(absl::Seconds(2));
  const bool stored = failure == Failure::kLostAfterStored;
  CHECK(process.counter.writer().numbers().cut_position == (stored ? 3 : 0));
  CHECK(process.Count("a") == 5);
  CHECK(*process.Promote("a") == 6);
  CHECK(absl::IsDataLoss(process.log.Read(0, 1).status()) == stored);
  CHECK(Verify(Reader(world).get()) == absl::OkStatus());
}

TEST_CASE("who watches on from before a cut gets everything anew", "[eventlog][cut][watch]") {
  World world;
  Process process(&world, Limits());
  REQUIRE(process.Promote("a").ok());
  const watch::v1::Revision cut_off = process.counter.writer().Head();
  REQUIRE(process.Promote("a").ok());
  const watch::v1::Revision newest_cut_off = process.counter.writer().Head();
  REQUIRE(process.Promote("a").ok());
  const watch::v1::Revision kept = process.counter.writer().Head();
  REQUIRE(Cut(world, &process, 3) == absl::OkStatus());
  for (const bool erased : {false, true}) {
    CAPTURE(erased);
    const Resumed resumed = Resume(&process, cut_off);
    CHECK(resumed.snapshot);
    CHECK(resumed.history_changed);
    watch::v1::Revision foreign = newest_cut_off;
    foreign.mutable_hash()->front() ^= 1;
    CHECK(Resume(&process, foreign).history_changed);
    CHECK_FALSE(Resume(&process, newest_cut_off).snapshot);
    CHECK_FALSE(Resume(&process, kept).snapshot);
    process.executor.Advance(absl::Seconds(1));
  }
}

TEST_CASE("a standby that is behind a cut begins where the log does", "[eventlog][cut][replicas]") {
  World world;
  Process leader(&world, Limits(), "a:1");
  REQUIRE(leader.Promote("a").ok());
  Process standby(&world, Limits(), "b:1");
  REQUIRE(standby.started == absl::OkStatus());
  for (int i = 0; i < 6; ++i) REQUIRE(leader.Promote("a").ok());
  REQUIRE(Cut(world, &leader, 6) == absl::OkStatus());
  leader.executor.Advance(absl::Seconds(1));
  CHECK(absl::IsDataLoss(leader.log.Read(2, 1).status()));
  standby.executor.RunUntilIdle();
  CHECK(standby.counter.writer().numbers().standby);
  CHECK(standby.counter.writer().numbers().cut_position == 6);
  // The leader goes, and the standby takes over.
  world.database->Disconnect();
  leader.executor.Advance(absl::Seconds(10));
  world.database->Reconnect();
  standby.executor.RunUntilIdle();
  REQUIRE(standby.Leads());
  CHECK(standby.Count("a") == 7);
  CHECK(Verify(Reader(world).get()) == absl::OkStatus());
}

// A standby's log, which the leader cuts between two reads.
struct LogOfStandby : public MemoryEventLog {
  using MemoryEventLog::MemoryEventLog;

  absl::StatusOr<std::vector<StoredRecord>> Read(uint64_t after, size_t count_max) override {
    if (--reads_before == 0) cut();
    return MemoryEventLog::Read(after, count_max);
  }

  int reads_before = 0;
  std::function<void()> cut;
};

TEST_CASE("a standby whose log is cut while it loads that loads it again",
          "[eventlog][cut][replicas]") {
  World world;
  Process leader(&world, Limits(), "a:1");
  for (int i = 0; i < 9; ++i) REQUIRE(leader.Promote("a").ok());
  LogOfStandby log(world.database, "counter");
  log.reads_before = 2;
  bool was_cut = false;
  log.cut = [&] {
    REQUIRE(Cut(world, &leader, 8) == absl::OkStatus());
    leader.executor.Advance(absl::Seconds(1));
    was_cut = true;
  };
  LogWriter::Limits limits = Limits();
  limits.replay_chunk = 3;
  ManualExecutor executor(&world.clock);
  SequentialIdSource ids;
  EventSourced<Counter> standby("counter", limits, &log, &executor, &world.clock, &ids, {});
  absl::Status started = absl::UnknownError("not started");
  standby.Start({"test", "b:1"}, [&](absl::Status status) { started = std::move(status); });
  executor.RunUntilIdle();
  REQUIRE(was_cut);
  executor.Advance(absl::Seconds(2));
  CHECK(started == absl::OkStatus());
  CHECK(standby.writer().numbers().standby);
  CHECK(standby.writer().numbers().cut_position == 8);
  CHECK(standby.writer().Head().position() == leader.counter.writer().Head().position());
}

TEST_CASE("a command whose record was cut off is a new one when it comes again",
          "[eventlog][cut]") {
  World world;
  {
    Process process(&world, Limits());
    REQUIRE(*process.Promote("a", "once") == 1);
    REQUIRE(*process.Promote("a", "twice") == 2);
    REQUIRE(Cut(world, &process, 2) == absl::OkStatus());  // The first one's record.
    process.executor.Advance(absl::Seconds(1));
    CHECK(*process.Promote("a", "once") == 3);
    CHECK(*process.Promote("a", "once") == 3);
    CHECK(*process.Promote("a", "twice") == 2);
  }
  Process process(&world, Limits());
  CHECK(*process.Promote("a", "once") == 3);
  CHECK(*process.Promote("a", "twice") == 2);
  CHECK(Verify(Reader(world).get()) == absl::OkStatus());
}

// Whoever can write rows beside a log that was cut, of a service that has ended.
std::unique_ptr<MemoryEventLog> WriterOfCutLog(World* world) {
  {
    Process process(world, Limits());
    for (int i = 0; i < 5; ++i) REQUIRE(process.Promote("a").ok());
    REQUIRE(Cut(*world, &process, 4) == absl::OkStatus());
  }
  auto log = Reader(*world);
  REQUIRE(log->TakeLease({"somebody"}, absl::Seconds(1)).ok());
  return log;
}

TEST_CASE("a base that is not what it was is never begun with", "[eventlog][cut]") {
  World world;
  const auto log = WriterOfCutLog(&world);
  const uint64_t head = log->ReadRows()->position;
  eventlog::v1::Snapshot base = *FromRow(**log->GetRow(kBaseRowKey));
  eventlog::v1::LogBegin begin = *ReadLogBegin("counter", log.get());
  const auto put_base = [&](const std::string& row) {
    begin.set_base_digest(Blake2b256({row}));
    REQUIRE(
        log->Append(head, {}, {{kBaseRowKey, row}, {kLogBeginRowKey, begin.SerializeAsString()}}) ==
        absl::OkStatus());
  };
  std::string what;
  SECTION("it is missing") {
    REQUIRE(log->Append(head, {}, {{kBaseRowKey, std::nullopt}}).ok());
    what = "is missing";
  }
  SECTION("a bit of it flipped") {
    std::string row = **log->GetRow(kBaseRowKey);
    row[row.size() / 2] = static_cast<char>(row[row.size() / 2] ^ 1);
    REQUIRE(log->Append(head, {}, {{kBaseRowKey, row}}).ok());
    what = "is not the one that was put";
  }
  SECTION("where the log begins cannot be read") {
    REQUIRE(log->Append(head, {}, {{kLogBeginRowKey, "\xff"}}).ok());
    what = "cannot be read";
  }
  SECTION("it is of a later version's state") {
    base.set_state_version(Counter::kStateVersion + 1);
    put_base(ToRow(base));
    what = "a newer one";
  }
  SECTION("it says what this version does not know") {
    config::v1::StateSnapshot state;
    REQUIRE(state.ParseFromString(base.state()));
    state.add_environments()->GetReflection()->MutableUnknownFields(&state)->AddVarint(999, 1);
    base.set_state(state.SerializeAsString());
    put_base(ToRow(base));
    what = "a newer one";
  }
  CHECK_THAT(std::string(Verify(log.get()).message()), Catch::Contains(what));
  world.clock.Advance(absl::Seconds(10));
  Process process(&world, Limits());
  CHECK(absl::IsDataLoss(process.started));
  CHECK_THAT(std::string(process.started.message()),
             Catch::Contains("counter") && Catch::Contains(what));
}

TEST_CASE("a base that somebody else has put is found", "[eventlog][cut][verify]") {
  World world;
  const auto log = WriterOfCutLog(&world);
  eventlog::v1::Snapshot base = *FromRow(**log->GetRow(kBaseRowKey));
  config::v1::StateSnapshot state;
  REQUIRE(state.ParseFromString(base.state()));
  state.mutable_environments(0)->set_promotion(100);
  base.set_state(state.SerializeAsString());
  eventlog::v1::LogBegin begin = *ReadLogBegin("counter", log.get());
  begin.set_base_digest(Blake2b256({ToRow(base)}));
  REQUIRE(log->Append(log->ReadRows()->position, {},
                      {{kBaseRowKey, ToRow(base)}, {kLogBeginRowKey, begin.SerializeAsString()}})
              .ok());
  const absl::Status found = Verify(log.get());
  CHECK(absl::IsDataLoss(found));
  CHECK_THAT(std::string(found.message()), Catch::Contains("no record says"));
}

TEST_CASE("a snapshot of what was cut off is found", "[eventlog][cut][verify]") {
  World world;
  const auto log = WriterOfCutLog(&world);
  eventlog::v1::Snapshot snapshot = *FromRow(**log->GetRow(kBaseRowKey));
  snapshot.set_position(3);
  REQUIRE(log->Append(log->ReadRows()->position, {}, {{kSnapshotRowKey, ToRow(snapshot)}}).ok());
  const absl::Status found = Verify(log.get());
  CHECK(absl::IsDataLoss(found));
  CHECK_THAT(std::string(found.message()), Catch::Contains("position 3"));
}

TEST_CASE("who reads a log while it is cut is told to try again", "[eventlog][cut]") {
  World world;
  Process process(&world, Limits());
  for (int i = 0; i < 9; ++i) REQUIRE(process.Promote("a").ok());
  CutMeanwhile log(Reader(world));
  log.cut = [&] {
    REQUIRE(Cut(world, &process, 8) == absl::OkStatus());
    process.executor.Advance(absl::Seconds(1));
  };
  log.reads_before = 2;
  SECTION("a verification") { CHECK(absl::IsUnavailable(Verify(&log))); }
  SECTION("a replay") {
    LoggedStateOf<Counter> state;
    Replay replay("counter", At(9), 10, &state);
    absl::StatusOr<bool> there = false;
    while (there.ok() && !*there) there = replay.Step(&log);
    CHECK(absl::IsUnavailable(there.status()));
  }
  // The next attempt finds it so.
  CHECK(Verify(&log) == absl::OkStatus());
  CHECK(ReplayTo(world, 9) == std::pair(absl::OkStatus(), uint64_t{8}));
}

}  // namespace
}  // namespace berth
