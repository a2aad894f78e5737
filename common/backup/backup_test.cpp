#include "common/backup/backup.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/backup/archive_reader.h"
#include "common/backup/archive_writer.h"
#include "common/backup/backup_format.h"
#include "common/backup/restore.h"
#include "common/crypto/hash.h"
#include "common/eventlog/model_counter.h"
#include "common/eventlog/model_cut.h"
#include "common/eventlog/record_chain.h"
#include "common/eventlog/sqlite_event_log.h"
#include "common/files/atomic_file.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"
#include "common/watch/watch_client.h"

namespace berth {
namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

SavedState Save(EventSourced<Counter>* counter, ManualExecutor* executor) {
  SavedState state;
  counter->writer().EnqueueSave([&](absl::StatusOr<SavedState> saved) {
    REQUIRE(saved.ok());
    state = *std::move(saved);
  });
  executor->RunUntilIdle();
  return state;
}

// One who watches counts, over connections that are made and lost.
struct Watching {
  // What the server at the other end says now.
  std::vector<WatchClient::Update> Look(LogWriter* writer, ManualExecutor* executor) {
    const auto watcher = std::make_shared<Watcher>("counts", [] {});
    absl::Status begun = absl::UnknownError("not asked");
    writer->EnqueueWatch(watcher, client.revision(), [&](absl::Status status) { begun = status; });
    executor->RunUntilIdle();
    REQUIRE(begun == absl::OkStatus());
    std::vector<WatchClient::Update> updates;
    while (true) {
      std::string bytes;
      for (const auto& piece : watcher->Next()) bytes += *piece;
      if (bytes.empty()) break;
      watch::v1::WatchResponse response;
      REQUIRE(response.ParseFromString(bytes));
      const auto update = client.Receive(response);
      REQUIRE(update.status() == absl::OkStatus());
      updates.push_back(*update);
    }
    client.StreamEnded();
    return updates;
  }

  bool IsToldOfAnotherHistory(LogWriter* writer, ManualExecutor* executor) {
    for (const WatchClient::Update& update : Look(writer, executor)) {
      if (update.history_changed) return true;
    }
    return false;
  }

  WatchClient client;
};

LogWriter::Limits SnapshotEvery(uint64_t records) {
  LogWriter::Limits limits;
  limits.snapshot_records = records;
  return limits;
}

// A server with one service that goes on, and the folder beside its log.
struct Server {
  Server() : process(&world, SnapshotEvery(5)) {
    for (const char* app : {"a", "b", "a", "c", "b", "a"}) REQUIRE(process.Promote(app).ok());
    std::filesystem::create_directories(folder.File("state/identity"));
    Put("key-ring", "keys", 0600);
    Put("identity/private", "identity", 0600);
    Put("ca.pem", "certificate", 0644);
    Put("http-address", "127.0.0.1:7480", 0600);
    Put("counter.db", "a log", 0600);
    Put("counter.db.lock", "", 0600);
  }

  void Put(const std::string& name, const std::string& text, mode_t mode) const {
    REQUIRE(WriteFileAtomically(folder.File("state/" + name), text, mode) == absl::OkStatus());
  }

  absl::StatusOr<eventlog::v1::BackupManifest> BackUp() {
    BackupSource source;
    source.folder = folder.File("state");
    source.streams = {"counter"};
    source.open_log =
        [this](const std::string& stream) -> absl::StatusOr<std::unique_ptr<LogReader>> {
      auto log =
          std::make_unique<CutMeanwhile>(std::make_unique<MemoryEventLog>(world.database, stream));
      log->cut = before_read;
      log->reads_before = before_read == nullptr ? 0 : 1;
      return log;
    };
    return MakeBackup(source, archive(), kNow);
  }

  RestoreTarget Target(const std::string& name) const {
    RestoreTarget target;
    target.folder = folder.File(name);
    target.streams = {"counter"};
    target.new_state = [](const std::string&) {
      return std::make_unique<LoggedStateOf<Counter>>();
    };
    return target;
  }

  absl::StatusOr<eventlog::v1::BackupManifest> Restore(const std::string& name = "restored") {
    return RestoreBackup(archive(), Target(name), kNow);
  }

  std::string archive() const { return folder.File("backup"); }
  size_t FilesBeside() const {
    size_t files = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator(folder.File(""))) {
      ++files;
    }
    return files;
  }

  testing::TempDir folder;
  World world;
  Process process;
  std::function<void()> before_read;  // What happens before a backup reads records.
};

// What runs on what was restored.
struct Restored {
  explicit Restored(const Server& server)
      : log(*SqliteEventLog::Open(server.folder.File("restored/counter.db"), "counter")) {}

  void Start() {
    counter.Start({"restored"}, [this](absl::Status status) { started = status; });
    executor.RunUntilIdle();
    REQUIRE(started == absl::OkStatus());
  }

  ManualClock clock;
  ManualExecutor executor{&clock};
  SequentialIdSource ids;
  std::unique_ptr<SqliteEventLog> log;
  absl::Status started = absl::UnknownError("not started");
  EventSourced<Counter> counter{"counter", LogWriter::Limits(), log.get(), &executor, &clock, &ids};
};

// Writes the archive again, with what `change` makes of each entry; nullopt leaves it out.
void Rewrite(
    const std::string& path,
    const std::function<std::optional<ArchiveReader::Entry>(ArchiveReader::Entry)>& change) {
  const std::string before = path + ".before";
  std::filesystem::rename(path, before);
  auto reader = ArchiveReader::Open(before);
  auto writer = ArchiveWriter::Create(path);
  REQUIRE((reader.ok() && writer.ok()));
  while (true) {
    auto entry = reader->Next();
    REQUIRE(entry.ok());
    if (!entry->has_value()) break;
    const auto changed = change(**std::move(entry));
    if (!changed.has_value()) continue;
    REQUIRE((*writer)->Add(changed->name, changed->bytes, changed->mode) == absl::OkStatus());
  }
  REQUIRE((*writer)->Finish() == absl::OkStatus());
  std::filesystem::remove(before);
}

TEST_CASE("a backup of a log that is cut meanwhile is told to try again", "[backup][cut]") {
  Server server;
  server.before_read = [&server] {
    REQUIRE(Cut(server.world, &server.process, 5) == absl::OkStatus());
    server.process.executor.Advance(absl::Seconds(1));
  };
  const absl::Status overtaken = server.BackUp().status();
  CHECK(absl::IsUnavailable(overtaken));
  CHECK_THAT(std::string(overtaken.message()), Catch::Contains("try again"));
  CHECK(server.FilesBeside() == 1);  // The server's own folder.
  server.before_read = nullptr;
  REQUIRE(server.BackUp().status() == absl::OkStatus());
  CHECK(server.Restore().status() == absl::OkStatus());
}

TEST_CASE("a restored server has the state, the rows and the files of the one backed up",
          "[backup]") {
  Server server;
  const SavedState before = Save(&server.process.counter, &server.process.executor);
  const auto made = server.BackUp();
  REQUIRE(made.status() == absl::OkStatus());
  REQUIRE(made->logs_size() == 1);
  CHECK(made->logs(0).stream() == "counter");
  CHECK(made->logs(0).position() == before.position);
  CHECK(made->logs(0).hash() == HexEncode(before.record_hash));
  // What comes afterwards is not in it.
  REQUIRE(server.process.Promote("later").ok());
  const auto rows_before = server.process.log.ReadRows()->rows;

  const auto restored = server.Restore();
  REQUIRE(restored.status() == absl::OkStatus());
  CHECK(restored->SerializeAsString() == made->SerializeAsString());
  const std::string folder = server.folder.File("restored");
  CHECK(*ReadFile(folder + "/key-ring", kFileBytesMax) == "keys");
  CHECK(*ReadFile(folder + "/identity/private", kFileBytesMax) == "identity");
  CHECK_FALSE(std::filesystem::exists(folder + "/http-address"));
  struct stat found;
  REQUIRE(stat((folder + "/ca.pem").c_str(), &found) == 0);
  CHECK((found.st_mode & ACCESSPERMS) == 0644);
  REQUIRE(stat((folder + "/key-ring").c_str(), &found) == 0);
  CHECK((found.st_mode & ACCESSPERMS) == 0600);
  REQUIRE(stat(folder.c_str(), &found) == 0);
  CHECK((found.st_mode & ACCESSPERMS) == 0700);
  CHECK(server.FilesBeside() == 3);  // The two folders and the backup.

  Restored again(server);
  CHECK(again.log->ReadRows()->rows == rows_before);
  const std::vector<StoredRecord> records = *again.log->Read(0, 1000);
  REQUIRE(records.size() == before.position + 1);
  CHECK(records[before.position - 1].hash == before.record_hash);
  eventlog::v1::Record last;
  REQUIRE(last.ParseFromString(records.back().bytes));
  CHECK(last.method() == "LogRestored");
  again.Start();
  CHECK(Save(&again.counter, &again.executor).bytes == before.bytes);
}

TEST_CASE("a log that was cut is backed up and restored from where it begins", "[backup]") {
  Server server;
  EventSourced<Counter>& counter = server.process.counter;
  const SavedState base = Save(&counter, &server.process.executor);
  absl::Status cut = absl::UnknownError("not cut");
  counter.writer().EnqueueCut(base, kNow, [&](absl::Status done) { cut = std::move(done); });
  server.process.executor.RunUntilIdle();
  REQUIRE(cut == absl::OkStatus());
  REQUIRE(server.process.Promote("later").ok());
  // Erased or not, it is the same backup.
  if (GENERATE(false, true)) server.process.executor.Advance(absl::Seconds(1));
  const SavedState before = Save(&counter, &server.process.executor);
  const auto made = server.BackUp();
  REQUIRE(made.status() == absl::OkStatus());
  CHECK(made->logs(0).cut_position() == base.position);
  REQUIRE(server.Restore().status() == absl::OkStatus());
  Restored again(server);
  CHECK(again.log->Read(base.position, 1)->front().position == base.position + 1);
  CHECK(absl::IsDataLoss(again.log->Read(0, 1).status()));
  again.Start();
  CHECK(Save(&again.counter, &again.executor).bytes == before.bytes);
}

TEST_CASE("who has seen what a restored log does not have is told of another history",
          "[backup][watch]") {
  Server server;
  LogWriter* writer = &server.process.counter.writer();
  Watching seen_all_that_was_backed_up;
  seen_all_that_was_backed_up.Look(writer, &server.process.executor);
  REQUIRE(server.BackUp().ok());
  Watching seen_one_more;
  REQUIRE(server.process.Promote("later").ok());
  seen_one_more.Look(writer, &server.process.executor);
  Watching seen_many_more;
  for (int i = 0; i < 20; ++i) REQUIRE(server.process.Promote("later").ok());
  seen_many_more.Look(writer, &server.process.executor);
  REQUIRE(server.Restore().ok());

  Restored again(server);
  again.Start();
  writer = &again.counter.writer();
  // One whose position the restored log has by now, with another record, and one ahead of it.
  REQUIRE(again.log->Read(0, 1000)->size() > seen_one_more.client.revision()->position());
  REQUIRE(again.log->Read(0, 1000)->size() < seen_many_more.client.revision()->position());
  CHECK(seen_one_more.IsToldOfAnotherHistory(writer, &again.executor));
  CHECK(seen_many_more.IsToldOfAnotherHistory(writer, &again.executor));
  CHECK(seen_many_more.client.entries().count("later") == 0);
  // For this one nothing that it has seen is gone.
  CHECK_FALSE(seen_all_that_was_backed_up.IsToldOfAnotherHistory(writer, &again.executor));
}

TEST_CASE("a backup takes no file's place, and a damaged log makes none", "[backup]") {
  Server server;
  SECTION("there is a file") {
    std::ofstream(server.archive()) << "somebody else's";
    CHECK(absl::IsAlreadyExists(server.BackUp().status()));
    CHECK(*ReadFile(server.archive(), kFileBytesMax) == "somebody else's");
  }
  SECTION("a record does not chain") {
    MemoryEventLog log(server.world.database, "counter");
    server.world.clock.Advance(absl::Hours(1));
    REQUIRE(log.TakeLease({"somebody"}, absl::Hours(1)).ok());
    const size_t size = log.Read(0, 1000)->size();
    StoredRecord forged = log.Read(size - 1, 1)->front();
    forged.position = size + 1;
    REQUIRE(log.Append(size, {forged}, {}).ok());
    const absl::Status status = server.BackUp().status();
    CHECK(absl::IsDataLoss(status));
    CHECK_THAT(std::string(status.message()),
               Catch::Contains(absl::StrCat("stream counter, position ", size + 1)));
    CHECK(server.FilesBeside() == 1);
  }
}

TEST_CASE("what a backup holds is verified before anything is there", "[backup]") {
  Server server;
  REQUIRE(server.BackUp().ok());
  std::string why;
  SECTION("it is cut off") {
    const auto cut = GENERATE(1, 2, 3);
    std::filesystem::resize_file(server.archive(),
                                 std::filesystem::file_size(server.archive()) * cut / 4);
  }
  SECTION("it has no manifest") {
    Rewrite(server.archive(), [](ArchiveReader::Entry entry) {
      return entry.name == kManifestEntry ? std::nullopt : std::optional(std::move(entry));
    });
    why = "its end is missing";
  }
  SECTION("a file was changed") {
    Rewrite(server.archive(), [](ArchiveReader::Entry entry) {
      if (entry.name == "files/key-ring") entry.bytes = "other keys";
      return std::optional(std::move(entry));
    });
    why = "files/key-ring is not what was backed up";
  }
  SECTION("a file is missing") {
    Rewrite(server.archive(), [](ArchiveReader::Entry entry) {
      return entry.name == "files/key-ring" ? std::nullopt : std::optional(std::move(entry));
    });
    why = "files/key-ring is missing";
  }
  SECTION("a file would leave the folder") {
    Rewrite(server.archive(), [](ArchiveReader::Entry entry) {
      if (entry.name == "files/key-ring") entry.name = "files/../key-ring";
      return std::optional(std::move(entry));
    });
    why = "is not below the folder";
  }
  INFO(why);
  const absl::Status status = server.Restore().status();
  CHECK(absl::IsDataLoss(status));
  CHECK_THAT(std::string(status.message()), Catch::Contains(why));
  CHECK_FALSE(std::filesystem::exists(server.folder.File("restored")));
  CHECK(server.FilesBeside() == 2);
}

TEST_CASE("a log that was changed in its backup, digests and all, is found by its chain",
          "[backup]") {
  Server server;
  REQUIRE(server.BackUp().ok());
  std::string changed;
  Rewrite(server.archive(), [&changed](ArchiveReader::Entry entry) {
    if (entry.name == RecordsEntry("counter", 1)) {
      eventlog::v1::BackupRecords records;
      REQUIRE(records.ParseFromString(entry.bytes));
      std::string* bytes = records.mutable_records(2)->mutable_bytes();
      bytes->back() ^= 1;
      entry.bytes = changed = records.SerializeAsString();
    }
    if (entry.name == kManifestEntry) {
      eventlog::v1::BackupManifest manifest = *ParseManifest(entry.bytes);
      for (auto& described : *manifest.mutable_entries()) {
        if (described.name() == RecordsEntry("counter", 1)) {
          described = DescribeEntry(described.name(), changed);
        }
      }
      entry.bytes = ToJson(manifest);
    }
    return std::optional(std::move(entry));
  });
  const absl::Status status = server.Restore().status();
  CHECK(absl::IsDataLoss(status));
  CHECK_THAT(std::string(status.message()), Catch::Contains("stream counter, position 3"));
  CHECK_FALSE(std::filesystem::exists(server.folder.File("restored")));
}

TEST_CASE("a backup is restored into an empty folder only", "[backup]") {
  Server server;
  REQUIRE(server.BackUp().ok());
  CHECK(absl::IsAlreadyExists(server.Restore("state").status()));
  CHECK(*ReadFile(server.folder.File("state/key-ring"), kFileBytesMax) == "keys");
  std::filesystem::create_directories(server.folder.File("empty"));
  CHECK(server.Restore("empty").status() == absl::OkStatus());
  CHECK(absl::IsAlreadyExists(server.Restore("empty").status()));
}

TEST_CASE("logs are restored elsewhere, and served once all is whole", "[backup]") {
  Server server;
  EventSourced<Counter>& counter = server.process.counter;
  const bool cut = GENERATE(false, true);
  if (cut) {
    counter.writer().EnqueueCut(Save(&counter, &server.process.executor), kNow,
                                [](const absl::Status& done) { REQUIRE(done.ok()); });
    server.process.executor.Advance(absl::Seconds(1));
  }
  const SavedState before = Save(&counter, &server.process.executor);
  REQUIRE(server.BackUp().ok());
  World elsewhere;
  RestoreTarget target = server.Target("restored");
  target.open_log = [&elsewhere](const std::string& stream) {
    return std::make_unique<MemoryEventLog>(elsewhere.database, stream);
  };
  SECTION("whole") {
    REQUIRE(RestoreBackup(server.archive(), target, kNow).status() == absl::OkStatus());
    CHECK(*ReadFile(server.folder.File("restored/key-ring"), kFileBytesMax) == "keys");
    CHECK_FALSE(std::filesystem::exists(server.folder.File("restored/counter.db")));
    Process process(&elsewhere);
    REQUIRE(process.started == absl::OkStatus());
    CHECK(Save(&process.counter, &process.executor).bytes == before.bytes);
    // There is a log now.
    target.folder = server.folder.File("again");
    CHECK(absl::IsAlreadyExists(RestoreBackup(server.archive(), target, kNow).status()));
    CHECK_FALSE(std::filesystem::exists(target.folder));
  }
  SECTION("and is kept from a server where that failed half-way") {
    using Failure = MemoryDatabase::AppendFailure;
    elsewhere.database->FailNextAppend(Failure::kLostAfterStored);
    CHECK(absl::IsUnavailable(RestoreBackup(server.archive(), target, kNow).status()));
    CHECK_FALSE(std::filesystem::exists(target.folder));
    elsewhere.clock.Advance(absl::Hours(1));
    Process process(&elsewhere);
    CHECK(absl::IsFailedPrecondition(process.started));
    CHECK_THAT(std::string(process.started.message()), Catch::Contains("drop the tables"));
  }
}

TEST_CASE("another format is left to the version that knows it", "[backup]") {
  Server server;
  REQUIRE(server.BackUp().ok());
  Rewrite(server.archive(), [](ArchiveReader::Entry entry) {
    if (entry.name == kFormatEntry) entry.bytes = "berth backup 2\n";
    return std::optional(std::move(entry));
  });
  CHECK(absl::IsFailedPrecondition(server.Restore().status()));
}

}  // namespace
}  // namespace berth
