#include "common/eventlog/sqlite_event_log.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>

#include "common/crypto/hash.h"
#include "common/eventlog/event_log_contract.h"
#include "common/eventlog/faulty_vfs.h"
#include "common/eventlog/sqlite_log_reader.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

using contract::BytesOf;
using contract::RecordsAfter;
using contract::Rows;

struct SqliteFixture : EventLogFixture {
  absl::StatusOr<std::unique_ptr<EventLog>> Open() override {
    return SqliteEventLog::Open(path, "config");
  }

  const testing::TempDir dir;
  const std::string path = dir.File("config.db");
};

std::unique_ptr<EventLog> Lead(const std::string& path, const std::string& vfs = "") {
  auto log = SqliteEventLog::Open(path, "config", vfs);
  REQUIRE(log.status() == absl::OkStatus());
  REQUIRE((*log)->TakeLease({"first"}, contract::kLease).ok());
  return *std::move(log);
}

absl::Status OpenStatus(const std::string& path, const std::string& stream = "config") {
  return SqliteEventLog::Open(path, stream).status();
}

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void WriteWhole(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

void RunSql(const std::string& path, const std::string& sql) {
  sqlite3* connection = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &connection) == SQLITE_OK);
  CHECK(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(connection);
}

// Runs `body` in a process of its own and returns its wait status. What it says on stderr goes to
// the file `errors`.
int RunInProcess(const std::string& errors, const std::function<void()>& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    const int file = open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || dup2(file, STDERR_FILENO) < 0) _exit(2);
    body();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return status;
}

// A process that appends records with these bytes, one after another, and ends without closing.
void AppendAndDie(const SqliteFixture& fixture, const std::vector<std::string>& bytes) {
  const int ended = RunInProcess(fixture.dir.File("errors"), [&] {
    auto log = SqliteEventLog::Open(fixture.path, "config");
    if (!log.ok() || !(*log)->TakeLease({"killed"}, contract::kLease).ok()) _exit(3);
    for (uint64_t after = 0; after < bytes.size(); ++after) {
      if (!(*log)->Append(after, RecordsAfter(after, {bytes[after]}), {}).ok()) _exit(4);
    }
    _exit(0);
  });
  REQUIRE(ended == 0);
  REQUIRE(std::filesystem::file_size(fixture.path + "-wal") > 0);
}

TEST_CASE("the SQLite log keeps the contract", "[eventlog][sqlite]") {
  SqliteFixture fixture;
  CheckEventLogContract(fixture);
}

TEST_CASE("the file is the owner's alone", "[eventlog][sqlite]") {
  SqliteFixture fixture;
  const mode_t umask_before = umask(0);
  const auto log = Lead(fixture.path);
  REQUIRE(log->Append(0, RecordsAfter(0, {"one"}), {}).ok());
  umask(umask_before);
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    struct stat status = {};
    REQUIRE(stat((fixture.path + suffix).c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
  }
}

TEST_CASE("who finds the file in use is told the file, the process and its name",
          "[eventlog][sqlite]") {
  SqliteFixture fixture;
  const auto log = Lead(fixture.path);
  const absl::Status refused = OpenStatus(fixture.path);
  CHECK(absl::IsUnavailable(refused));
  CHECK(refused.message() ==
        absl::StrCat(fixture.path, ".lock is held by process ", getpid(), ", first"));
}

TEST_CASE("what a killed process appended is there, and durable before it is read",
          "[eventlog][sqlite]") {
  SqliteFixture fixture;
  AppendAndDie(fixture, {"one", "two"});

  SECTION("it is copied into the file at the next start") {
    const auto log = Lead(fixture.path);
    CHECK(std::filesystem::file_size(fixture.path + "-wal") == 0);
    CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"one", "two"});
  }
  SECTION("a start that cannot make it durable does not serve it") {
    const int aborted = RunInProcess(fixture.dir.File("errors"), [&] {
      const FaultyVfs faulty("faulty");
      faulty.FailFrom(FaultyVfs::Call::kSync, 0, SQLITE_IOERR_FSYNC);
      (void)SqliteEventLog::Open(fixture.path, "config", "faulty");
    });
    CHECK(WIFSIGNALED(aborted));
    CHECK(WTERMSIG(aborted) == SIGABRT);
  }
}

TEST_CASE("a failed fsync ends the process, with a word about the disk", "[eventlog][sqlite]") {
  SqliteFixture fixture;
  const int aborted = RunInProcess(fixture.dir.File("errors"), [&] {
    const FaultyVfs faulty("faulty");
    auto log = SqliteEventLog::Open(fixture.path, "config", "faulty");
    if (!log.ok() || !(*log)->TakeLease({"first"}, contract::kLease).ok()) _exit(3);
    faulty.FailFrom(FaultyVfs::Call::kSync, 0, SQLITE_IOERR_FSYNC);
    (void)(*log)->Append(0, RecordsAfter(0, {"one"}), {});
  });
  CHECK(WIFSIGNALED(aborted));
  CHECK(WTERMSIG(aborted) == SIGABRT);
  CHECK_THAT(ReadWhole(fixture.dir.File("errors")),
             Catch::Contains("a failed fsync cannot be repeated") && Catch::Contains(fixture.path));
}

TEST_CASE("an append that cannot be written changes nothing, and the next one can succeed",
          "[eventlog][sqlite]") {
  struct Row {
    int error;
    absl::StatusCode code;
  };
  const Row row = GENERATE(Row{SQLITE_FULL, absl::StatusCode::kResourceExhausted},
                           Row{SQLITE_IOERR_WRITE, absl::StatusCode::kUnavailable});
  const int writes_before = GENERATE(range(0, 8));
  SqliteFixture fixture;
  const FaultyVfs faulty("faulty");
  auto log = Lead(fixture.path, "faulty");
  REQUIRE(log->Append(0, RecordsAfter(0, {"one"}), std::vector<RowChange>{{"a", "1"}}).ok());
  faulty.FailFrom(FaultyVfs::Call::kWrite, writes_before, row.error);
  const absl::Status status = log->Append(1, RecordsAfter(1, {std::string(20'000, 'x')}),
                                          std::vector<RowChange>{{"b", "2"}});
  CHECK(status.code() == row.code);
  faulty.Heal();
  CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"one"});
  CHECK(*log->ListRows("") == Rows{{"a", "1"}});
  CHECK(log->Append(1, RecordsAfter(1, {"two"}), {}).ok());
  log.reset();
  log = Lead(fixture.path);
  CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"one", "two"});
}

TEST_CASE("an erased or replaced row is nowhere on the disk", "[eventlog][sqlite]") {
  SqliteFixture fixture;
  const std::string secret = "the-ciphertext-to-forget";
  // On a page of its own, and in the middle of one.
  const size_t size = GENERATE(10'000, 30);
  const std::string value = std::string(size, '.') + secret + std::string(size, '.');
  const auto log = Lead(fixture.path);
  const auto on_disk = [&] {
    return ReadWhole(fixture.path).find(secret) != std::string::npos ||
           ReadWhole(fixture.path + "-wal").find(secret) != std::string::npos;
  };
  REQUIRE(log->Append(0, {}, std::vector<RowChange>{{"a", value}, {"b", "kept"}}).ok());
  REQUIRE(on_disk());
  const auto change = GENERATE(as<std::optional<std::string>>{}, std::nullopt, "new");
  REQUIRE(log->Append(0, {}, std::vector<RowChange>{{"a", change}}).ok());
  CHECK_FALSE(on_disk());
  CHECK(*log->GetRow("b") == "kept");
}

TEST_CASE("a reader does not hold up appends, and rows are erased once it has gone",
          "[eventlog][sqlite]") {
  SqliteFixture fixture;
  const auto log = Lead(fixture.path);
  const auto pages_logged = [&] { return std::filesystem::file_size(fixture.path + "-wal"); };
  REQUIRE(log->Append(0, RecordsAfter(0, {"one"}), std::vector<RowChange>{{"a", "secret"}}).ok());
  sqlite3* reader = nullptr;
  REQUIRE(sqlite3_open(fixture.path.c_str(), &reader) == SQLITE_OK);
  REQUIRE(sqlite3_exec(reader, "BEGIN; SELECT * FROM rows", nullptr, nullptr, nullptr) ==
          SQLITE_OK);
  CHECK(log->Append(1, {}, std::vector<RowChange>{{"a", std::nullopt}}).ok());
  CHECK(pages_logged() > 0);
  sqlite3_close_v2(reader);
  CHECK(log->Append(1, RecordsAfter(1, {"two"}), {}).ok());
  CHECK(pages_logged() == 0);
}

TEST_CASE("a log's reader sees what was appended, and keeps nothing from being erased",
          "[eventlog][sqlite]") {
  SqliteFixture fixture;
  const auto log = Lead(fixture.path);
  REQUIRE(log->Append(0, RecordsAfter(0, {"one"}), std::vector<RowChange>{{"a", "secret"}}).ok());
  const auto reader = SqliteLogReader::Open(fixture.path, "config");
  REQUIRE(reader.ok());
  CHECK(BytesOf(*(*reader)->Read(0, 10)) == std::vector<std::string>{"one"});
  CHECK(*(*reader)->GetRow("a") == "secret");
  CHECK(*(*reader)->GetRow("b") == std::nullopt);
  REQUIRE(
      log->Append(1, RecordsAfter(1, {"two"}), std::vector<RowChange>{{"a", std::nullopt}}).ok());
  CHECK(std::filesystem::file_size(fixture.path + "-wal") == 0);
  CHECK(BytesOf(*(*reader)->Read(1, 10)) == std::vector<std::string>{"two"});
  CHECK(*(*reader)->GetRow("a") == std::nullopt);
  CHECK(absl::IsNotFound(SqliteLogReader::Open(fixture.path + ".not", "config").status()));
}

TEST_CASE("the write-ahead log does not grow with the log", "[eventlog][sqlite]") {
  SqliteFixture fixture;
  const auto log = Lead(fixture.path);
  for (uint64_t after = 0; after < 40; ++after) {
    REQUIRE(
        log->Append(after, RecordsAfter(after, {std::string(contract::kMebibyte, 'x')}), {}).ok());
  }
  CHECK(std::filesystem::file_size(fixture.path) > 20 * contract::kMebibyte);
  CHECK(std::filesystem::file_size(fixture.path + "-wal") < 12 * contract::kMebibyte);
}

TEST_CASE("a file that is not this log is refused and left alone", "[eventlog][sqlite]") {
  SqliteFixture fixture;
  const auto refused = [&](absl::StatusCode code, const std::string& why,
                           const std::string& stream = "config") {
    const std::string before = ReadWhole(fixture.path);
    const absl::Status status = OpenStatus(fixture.path, stream);
    CHECK(status.code() == code);
    CHECK_THAT(std::string(status.message()),
               Catch::Contains(fixture.path) && Catch::Contains(why));
    CHECK((ReadWhole(fixture.path) == before));
  };
  SECTION("another program's database") {
    RunSql(fixture.path, "CREATE TABLE a (b)");
    refused(absl::StatusCode::kFailedPrecondition, "not an event log of Berth");
  }
  SECTION("no database at all") {
    WriteWhole(fixture.path, "hello");
    refused(absl::StatusCode::kDataLoss, "not a database");
  }
  SECTION("an empty file, which a log never is") {
    WriteWhole(fixture.path, "");
    refused(absl::StatusCode::kDataLoss, "is empty");
  }
  SECTION("another stream's log") {
    Lead(fixture.path).reset();
    refused(absl::StatusCode::kFailedPrecondition, "event log of config, not of auth", "auth");
  }
  SECTION("a newer version's log") {
    Lead(fixture.path).reset();
    RunSql(fixture.path, "PRAGMA user_version = 2");
    refused(absl::StatusCode::kFailedPrecondition, "format 2");
  }
}

TEST_CASE("a file that went missing from beside its write-ahead log is not made anew",
          "[eventlog][sqlite]") {
  SqliteFixture fixture;
  WriteWhole(fixture.path + "-wal", "left over");
  CHECK(absl::IsDataLoss(OpenStatus(fixture.path)));
  CHECK_FALSE(std::filesystem::exists(fixture.path));
}

TEST_CASE("a log whose making was cut short is made again", "[eventlog][sqlite]") {
  SqliteFixture fixture;
  WriteWhole(fixture.path + ".new", "half");
  const auto log = Lead(fixture.path);
  CHECK(log->Read(0, 10)->empty());
  CHECK_FALSE(std::filesystem::exists(fixture.path + ".new"));
}

TEST_CASE("a folder that is not there is an error that names the file", "[eventlog][sqlite]") {
  const testing::TempDir dir;
  const absl::Status status = OpenStatus(dir.File("none/config.db"));
  CHECK(absl::IsNotFound(status));
  CHECK_THAT(std::string(status.message()), Catch::Contains("none/config.db"));
}

TEST_CASE("a missing position is data loss, named", "[eventlog][sqlite]") {
  SqliteFixture fixture;
  REQUIRE(Lead(fixture.path)->Append(0, RecordsAfter(0, {"one", "two", "three"}), {}).ok());
  RunSql(fixture.path, "DELETE FROM records WHERE position = 2");
  const auto log = Lead(fixture.path);
  const absl::Status status = log->Read(0, 10).status();
  CHECK(absl::IsDataLoss(status));
  CHECK_THAT(std::string(status.message()), Catch::Contains("stream config, position 2"));
  CHECK(absl::IsDataLoss(log->Read(1, 1).status()));
  CHECK(BytesOf(*log->Read(2, 10)) == std::vector<std::string>{"three"});
}

// A log with pages of every kind, each record with the digest of its bytes as its hash.
std::string WriteSample(const std::string& path) {
  const auto log = Lead(path);
  std::vector<StoredRecord> records;
  std::vector<RowChange> rows;
  for (uint64_t position = 1; position <= 200; ++position) {
    const std::string bytes(position % 50 == 0 ? 9'000 : 20 + position, 'r');
    records.push_back({position, bytes, Blake2b256({bytes})});
    rows.push_back({absl::StrCat("row/", position), bytes});
  }
  REQUIRE(log->Append(0, records, rows).ok());
  return path;
}

// Whether whoever reads the log at `path` would notice that it is not the sample; that nothing
// crashes is the other half of the question.
bool IsSampleOrNoticed(const std::string& path) {
  auto log = SqliteEventLog::Open(path, "config");
  if (!log.ok()) return true;
  if (!(*log)->ListRows("").ok()) return true;
  const auto records = (*log)->Read(0, 1000);
  if (!records.ok()) return true;
  for (const StoredRecord& record : *records) {
    if (record.hash != Blake2b256({record.bytes})) return true;
  }
  return records->size() == 200;
}

TEST_CASE("a flipped bit anywhere in the file is noticed or harmless", "[eventlog][sqlite]") {
  const testing::TempDir dir;
  const std::string whole = ReadWhole(WriteSample(dir.File("sample.db")));
  REQUIRE(whole.size() > 50'000);
  // Every byte of the header and of the first pages' structure, and others at random.
  std::mt19937 random(1);
  std::vector<size_t> places;
  for (size_t place = 0; place < 120; ++place) places.push_back(place);
  for (size_t page = 0; page < whole.size(); page += 4096) {
    for (size_t place = page; place < page + 12; ++place) places.push_back(place);
  }
  for (int i = 0; i < 300; ++i) places.push_back(random() % whole.size());

  const std::string path = dir.File("flipped.db");
  std::vector<size_t> unnoticed;
  for (const size_t place : places) {
    std::string flipped = whole;
    flipped[place] = static_cast<char>(flipped[place] ^ (1 << (random() % 8)));
    WriteWhole(path, flipped);
    std::filesystem::remove(path + "-wal");
    std::filesystem::remove(path + "-shm");
    if (!IsSampleOrNoticed(path)) unnoticed.push_back(place);
  }
  CHECK(unnoticed == std::vector<size_t>{});
}

TEST_CASE("a file cut short is noticed", "[eventlog][sqlite]") {
  const testing::TempDir dir;
  const std::string whole = ReadWhole(WriteSample(dir.File("sample.db")));
  const std::string path = dir.File("short.db");
  for (size_t size = 0; size < whole.size(); size += 1365) {
    WriteWhole(path, whole.substr(0, size));
    std::filesystem::remove(path + "-wal");
    std::filesystem::remove(path + "-shm");
    CAPTURE(size);
    CHECK(absl::IsDataLoss(OpenStatus(path)));
  }
}

TEST_CASE("a write-ahead log that is torn loses what was not durable and nothing else",
          "[eventlog][sqlite]") {
  SqliteFixture fixture;
  const std::string& path = fixture.path;
  AppendAndDie(fixture, std::vector<std::string>(5, std::string(3000, 'x')));
  const std::string file = ReadWhole(path);
  const std::string log_file = ReadWhole(path + "-wal");
  size_t found_before = 5;
  for (size_t cut = 0; cut <= log_file.size(); cut += 515) {
    WriteWhole(path, file);
    WriteWhole(path + "-wal", log_file.substr(0, log_file.size() - cut));
    std::filesystem::remove(path + "-shm");
    const auto log = SqliteEventLog::Open(path, "config");
    REQUIRE(log.status() == absl::OkStatus());
    const auto records = (*log)->Read(0, 10);
    REQUIRE(records.status() == absl::OkStatus());
    for (const StoredRecord& record : *records) CHECK((record.bytes == std::string(3000, 'x')));
    CHECK(records->size() == (cut == 0 ? 5 : std::min(records->size(), found_before)));
    found_before = records->size();
  }
  CHECK(found_before == 0);
}

}  // namespace
}  // namespace berth
