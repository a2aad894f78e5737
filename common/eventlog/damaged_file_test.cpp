// What a verification finds in a SQLite log whose file was damaged.

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/eventlog/log_verifier.h"
#include "common/eventlog/model_counter.h"
#include "common/eventlog/sqlite_connection.h"
#include "common/eventlog/sqlite_event_log.h"
#include "common/eventlog/sqlite_log_reader.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

constexpr size_t kChunk = 16;
constexpr uint64_t kRecords = 60;
constexpr uint64_t kSnapshotAt = 40;

// Of the app that the record at this position promotes. So long that the records fill many pages.
std::string AppAt(uint64_t position) {
  return absl::StrCat("app-at-", position, "-", std::string(1'000, 'x'));
}

// A log in a file, whose service has ended.
struct FileLog {
  FileLog() {
    ManualClock clock;
    ManualExecutor executor{&clock};
    SequentialIdSource ids;
    LogWriter::Limits limits;
    limits.snapshot_records = kSnapshotAt;
    const std::unique_ptr<SqliteEventLog> log = *SqliteEventLog::Open(path, "counter");
    EventSourced<Counter> counter("counter", limits, log.get(), &executor, &clock, &ids);
    counter.Start({"test"}, [](absl::Status) {});
    executor.RunUntilIdle();
    CommandOrigin origin;
    origin.principal = "user/a";
    origin.method = "Promote";
    for (uint64_t position = 2; position <= kRecords; ++position) {
      counter.Execute<config::v1::RollbackResponse>(
          origin, Recorded::kAlways,
          [position](const Counter& state, const DecisionContext& context) {
            return state.Promote(AppAt(position), context);
          },
          [](absl::StatusOr<config::v1::RollbackResponse> done) { REQUIRE(done.ok()); });
      executor.RunUntilIdle();
    }
  }

  absl::Status Verify() const {
    const auto reader = SqliteLogReader::Open(path, "counter");
    if (!reader.ok()) return reader.status();
    LogVerifier verifier("counter", std::make_unique<LoggedStateOf<Counter>>());
    REQUIRE(verifier.ExpectRowsOf(reader->get()) == absl::OkStatus());
    while (true) {
      const absl::StatusOr<bool> more = verifier.Step(reader->get(), kChunk);
      if (!more.ok()) return more.status();
      if (!*more) return absl::OkStatus();
    }
  }

  // Changes the tables as somebody with the file could.
  void Run(const std::string& sql) const {
    auto connection = SqliteConnection::Open(path, "");
    REQUIRE(connection.ok());
    REQUIRE(connection->Run(sql) == absl::OkStatus());
  }

  testing::TempDir folder;
  const std::string path = folder.File("counter.db");
};

void FlipBit(const std::string& path, size_t byte) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(byte));
  const char flipped = static_cast<char>(file.get() ^ 1);
  file.seekp(static_cast<std::streamoff>(byte));
  file.put(flipped);
  REQUIRE(file.good());
}

size_t PlaceOf(const std::string& text, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t place = bytes.find(text);
  REQUIRE(place != std::string::npos);
  return place;
}

TEST_CASE("damage of a log's file is named with stream and position", "[eventlog][verifier]") {
  const FileLog log;
  REQUIRE(log.Verify() == absl::OkStatus());
  std::string where;
  SECTION("a bit of a record") {
    FlipBit(log.path, PlaceOf("app-at-50-", log.path) + 2);
    where = "stream counter, position 50: the record is not the one that was written";
  }
  SECTION("a record that is gone") {
    log.Run("DELETE FROM records WHERE position = 21");
    where = "stream counter, position 21";
  }
  SECTION("an end that is gone, though a snapshot has it") {
    log.Run("DELETE FROM records WHERE position > 30");
    where = "stream counter, position 31: the log ends before it";
  }
  SECTION("records that changed places") {
    log.Run(
        "UPDATE records SET bytes = (SELECT bytes FROM records WHERE position = 12), "
        "hash = (SELECT hash FROM records WHERE position = 12) WHERE position = 11");
    where = "stream counter, position 11";
  }
  SECTION("a snapshot's row") {
    log.Run(
        "UPDATE rows SET value = zeroblob(length(value)) WHERE key = CAST('log/snapshot' AS BLOB)");
    where = "stream counter, position 60: the snapshot";
  }
  SECTION("the file's end") {
    std::filesystem::resize_file(log.path, std::filesystem::file_size(log.path) / 2);
    // Nothing in it can be read any more, so that no position can be named.
    where = "counter.db";
  }
  INFO(where);
  const absl::Status found = log.Verify();
  CHECK(found.code() == absl::StatusCode::kDataLoss);
  CHECK_THAT(std::string(found.message()), Catch::Contains(where));
}

}  // namespace
}  // namespace berth
