#include "common/eventlog/log_verifier.h"

#include <catch2/catch.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/eventlog/model_counter.h"
#include "common/eventlog/record_chain.h"
#include "common/eventlog/snapshot_row.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

constexpr size_t kChunk = 3;

// What a reader finds, which a test may damage.
struct FoundLog : public LogReader {
  absl::StatusOr<std::vector<StoredRecord>> Read(uint64_t after, size_t count_max) override {
    std::vector<StoredRecord> found;
    for (const StoredRecord& record : records) {
      if (record.position > after && found.size() < count_max) found.push_back(record);
    }
    return found;
  }
  absl::StatusOr<Rows> ReadRows() override { return rows; }
  absl::StatusOr<std::optional<std::string>> GetRow(absl::string_view key) override {
    for (const auto& [name, value] : rows.rows) {
      if (name == key) return std::optional<std::string>(value);
    }
    return std::optional<std::string>();
  }

  std::vector<StoredRecord> records;
  Rows rows;
};

// A service that has had a life, with a snapshot as of position 5, and what it has at its end.
struct Life {
  Life() {
    World world;
    LogWriter::Limits limits;
    limits.snapshot_records = 5;
    Process process(&world, limits);
    for (const char* app : {"a", "b", "a", "c", "b", "a", "b"}) REQUIRE(process.Promote(app).ok());
    process.counter.writer().EnqueueSave([this](absl::StatusOr<SavedState> saved) {
      REQUIRE(saved.ok());
      served = *std::move(saved);
    });
    process.executor.RunUntilIdle();
    log.records = *process.log.Read(0, 1000);
    log.rows = *process.log.ReadRows();
  }

  LogVerifier Verifier() {
    LogVerifier verifier("counter", std::make_unique<LoggedStateOf<Counter>>());
    verifier.ExpectServed(served);
    REQUIRE(verifier.ExpectRowsOf(&log) == absl::OkStatus());
    return verifier;
  }

  absl::Status Verify() {
    LogVerifier verifier = Verifier();
    while (true) {
      const absl::StatusOr<bool> more = verifier.Step(&log, kChunk);
      if (!more.ok()) return more.status();
      if (!*more) return absl::OkStatus();
    }
  }

  // Writes the record's successors anew, so that the chain holds.
  void ChainAgain() {
    std::string hash = HashBeforeFirstRecord();
    for (StoredRecord& stored : log.records) {
      stored.hash = ChainedHash(hash, stored.bytes);
      hash = stored.hash;
    }
    served.record_hash = hash;
    std::erase_if(log.rows.rows, [](const auto& row) { return row.first == kSnapshotRowKey; });
  }

  void Change(uint64_t position, const std::function<void(eventlog::v1::Record*)>& change) {
    StoredRecord& stored = log.records[position - 1];
    eventlog::v1::Record record;
    REQUIRE(record.ParseFromString(stored.bytes));
    change(&record);
    stored.bytes = record.SerializeAsString();
  }

  FoundLog log;
  SavedState served;
};

std::string Message(const absl::Status& status) {
  CHECK(status.code() == absl::StatusCode::kDataLoss);
  return std::string(status.message());
}

TEST_CASE("a log that is as it was written is found to be so", "[eventlog][verifier]") {
  Life life;
  REQUIRE(life.log.records.size() == 8);
  CHECK(life.Verify() == absl::OkStatus());

  LogVerifier verifier = life.Verifier();
  CHECK(verifier.expected_end() == 8);
  CHECK(verifier.snapshot_position() == 5);
  while (*verifier.Step(&life.log, kChunk)) {
  }
  CHECK(verifier.position() == 8);
  CHECK(verifier.hash() == life.log.records.back().hash);
}

TEST_CASE("an empty log is one, too", "[eventlog][verifier]") {
  FoundLog log;
  LogVerifier verifier("counter", std::make_unique<LoggedStateOf<Counter>>());
  REQUIRE(verifier.ExpectRowsOf(&log) == absl::OkStatus());
  const absl::StatusOr<bool> more = verifier.Step(&log, kChunk);
  REQUIRE(more.ok());
  CHECK_FALSE(*more);
}

TEST_CASE("damage of a log is named with stream and position", "[eventlog][verifier]") {
  Life life;
  std::string where;
  SECTION("any bit of any record") {
    const size_t record = GENERATE(range(size_t{0}, size_t{8}));
    const size_t byte = GENERATE(size_t{0}, size_t{7}, size_t{20});
    life.log.records[record].bytes[byte] ^= 1;
    where = absl::StrCat("stream counter, position ", record + 1, ":");
  }
  SECTION("a hash") {
    life.log.records[3].hash[0] ^= 1;
    where = "stream counter, position 4:";
  }
  SECTION("a gap") {
    life.log.records.erase(life.log.records.begin() + 2);
    where = "position 3 is missing";
  }
  SECTION("the end is cut off") {
    life.log.records.resize(6);
    where = "stream counter, position 7: the log ends before it, and has had 8 records";
  }
  SECTION("the end is cut off before what a snapshot covers") {
    life.log.records.resize(2);
    life.served = SavedState();
    where = "stream counter, position 3: the log ends before it";
  }
  SECTION("a record of another place") {
    life.log.records[4].bytes = life.log.records[5].bytes;
    life.ChainAgain();
    where = "stream counter, position 5: the record cannot be read";
  }
  SECTION("an event of a later version") {
    life.Change(4, [](eventlog::v1::Record* record) { record->mutable_events(0)->set_version(2); });
    life.ChainAgain();
    where = "stream counter, position 4: event type";
  }
  INFO(where);
  CHECK_THAT(Message(life.Verify()), Catch::Contains(where));
}

TEST_CASE("a state that is not what the log gives is found", "[eventlog][verifier]") {
  Life life;
  SECTION("what is served") {
    // A record that was exchanged for one of the same shape, with all hashes made anew.
    life.Change(3, [](eventlog::v1::Record* record) {
      Counter::Event event;
      REQUIRE(event.ParseFromString(record->events(0).payload()));
      event.mutable_release_promoted()->mutable_environment()->set_app("x");
      record->mutable_events(0)->set_payload(event.SerializeAsString());
    });
    life.ChainAgain();
    CHECK_THAT(Message(life.Verify()),
               Catch::Contains("stream counter, position 8: the state that is served is not"));
  }
  SECTION("what is served comes from another history") {
    life.served.record_hash[0] ^= 1;
    CHECK_THAT(Message(life.Verify()),
               Catch::Contains("stream counter, position 8: the log has another record"));
  }
  SECTION("a snapshot") {
    for (auto& [key, row] : life.log.rows.rows) {
      if (key != kSnapshotRowKey) continue;
      eventlog::v1::Snapshot snapshot = *FromRow(row);
      config::v1::StateSnapshot state;
      REQUIRE(state.ParseFromString(snapshot.state()));
      state.mutable_environments(0)->set_promotion(100);
      snapshot.set_state(state.SerializeAsString());
      row = ToRow(snapshot);
    }
    CHECK_THAT(Message(life.Verify()),
               Catch::Contains("stream counter, position 5: the snapshot is not"));
  }
  SECTION("a snapshot's row") {
    for (auto& [key, row] : life.log.rows.rows) {
      if (key == kSnapshotRowKey) row.back() ^= 1;
    }
    CHECK_THAT(Message(life.Verify()), Catch::Contains("stream counter, position 8: the snapshot"));
  }
}

TEST_CASE("another version's snapshot is no fault", "[eventlog][verifier]") {
  Life life;
  for (auto& [key, row] : life.log.rows.rows) {
    if (key != kSnapshotRowKey) continue;
    eventlog::v1::Snapshot snapshot = *FromRow(row);
    snapshot.set_state_format("another");
    snapshot.set_state("?");
    row = ToRow(snapshot);
  }
  CHECK(life.Verify() == absl::OkStatus());
  CHECK(life.Verifier().snapshot_position() == 0);
}

}  // namespace
}  // namespace berth
