#include "integration/bench/append.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <limits>
#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/check/check.h"
#include "common/clock/system_clock.h"
#include "common/eventlog/event_sourced.h"
#include "common/executor/thread_executor.h"
#include "common/ids/random_id_source.h"
#include "common/net/unique_fd.h"
#include "common/sync/notification.h"
#include "integration/bench/keyvalue/state.h"
#include "integration/bench/peers.h"

namespace berth::bench {
namespace {

constexpr size_t kRecordBytes = 512;
constexpr uint64_t kSampleEvery = 16;

void MustBe(bool so, const std::string& what) {
  if (!so) throw std::runtime_error(what);
}

Samples SyncedWrites(const std::string& path, bool growing, absl::Duration time) {
  const UniqueFd file(open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  MustBe(file.get() >= 0, "cannot open " + path);
  const std::string record(kRecordBytes, 'x');
  off_t at = 0;
  Samples samples;
  const absl::Time end = absl::Now() + time;
  for (absl::Time begin = absl::Now(); begin < end; begin = absl::Now()) {
    const ssize_t written = pwrite(file.get(), record.data(), record.size(), at);
    MustBe(written == static_cast<ssize_t>(record.size()) && fdatasync(file.get()) == 0,
           "cannot write " + path);
    if (growing) at += written;
    samples.Add(absl::Now() - begin);
  }
  return samples;
}

// A service with the key-value state on a log, in this process.
class Service {
 public:
  Service(EventLog* log, LogWriter::Limits limits)
      : state_("keyvalue", limits, log, &executor_, &clock_, &ids_) {
    Notification started;
    absl::Status status;
    state_.Start({"bench"}, [&](absl::Status leads) {
      status = std::move(leads);
      started.Notify();
    });
    started.WaitForNotification();
    MustBe(status.ok(), std::string(status.message()));
  }
  ~Service() { executor_.Stop(); }

  // Puts `events` keys by one command. `done` is called on the service's thread.
  void Put(uint64_t number, int events, std::function<void()> done) {
    CommandOrigin origin;
    origin.principal = "user/load";
    origin.method = "berth.keyvalue.v1.KeyValueService.Put";
    state_.Execute<keyvalue::v1::PutResponse>(
        std::move(origin), Recorded::kAlways,
        [number, events](const keyvalue::State& state, const DecisionContext&) {
          keyvalue::v1::PutRequest request;
          request.set_value(std::string(kValueBytes, 'x'));
          Decided<keyvalue::State::Event, keyvalue::v1::PutResponse> decided =
              Decision<keyvalue::State::Event, keyvalue::v1::PutResponse>();
          for (int i = 0; i < events; ++i) {
            request.set_key(KeyOf(number + static_cast<uint64_t>(i)));
            decided->events.push_back(std::move(state.Decide(request)->events.front()));
          }
          return decided;
        },
        [done = std::move(done)](absl::StatusOr<keyvalue::v1::PutResponse> response) {
          BERTH_CHECK_MESSAGE(response.ok(), response.status().ToString());
          done();
        });
  }

 private:
  const SystemClock clock_;
  RandomIdSource ids_;
  ThreadExecutor executor_{"bench"};
  EventSourced<keyvalue::State> state_;
};

LogWriter::Limits LimitsOf(bool snapshots) {
  LogWriter::Limits limits;
  if (!snapshots) limits.snapshot_records = std::numeric_limits<uint64_t>::max();
  return limits;
}

// Writers that each give the next command when they have the answer, until `more` says no. Its
// members are used on the service's thread once the first commands are given.
class Writers {
 public:
  Writers(Service* service, int writers, int events, std::function<bool(uint64_t number)> more)
      : service_(service), events_(events), more_(std::move(more)), running_(writers) {
    // All are given before the first is answered, or a little later: either is as if they had come.
    for (int i = 0; i < writers; ++i) Next();
    ended_.WaitForNotification();
  }

  uint64_t commands() const { return commands_; }
  Samples& latency() { return latency_; }

 private:
  void Next() {
    const uint64_t number = given_++;
    if (!more_(number)) {
      if (--running_ == 0) ended_.Notify();
      return;
    }
    const absl::Time begin = absl::Now();
    service_->Put(number, events_, [this, number, begin] {
      if (number % kSampleEvery == 0) latency_.Add(absl::Now() - begin);
      ++commands_;
      Next();
    });
  }

  Service* const service_;
  const int events_;
  const std::function<bool(uint64_t number)> more_;
  std::atomic<int> running_;
  std::atomic<uint64_t> given_ = 0;
  std::atomic<uint64_t> commands_ = 0;
  Samples latency_;  // On the service's thread.
  Notification ended_;
};

}  // namespace

Samples SyncedAppends(const std::string& path, absl::Duration time) {
  return SyncedWrites(path, true, time);
}

Samples SyncedOverwrites(const std::string& path, absl::Duration time) {
  return SyncedWrites(path, false, time);
}

Samples SqliteInserts(const std::string& path, absl::Duration time) {
  sqlite3* database = nullptr;
  MustBe(sqlite3_open(path.c_str(), &database) == SQLITE_OK, "cannot open " + path);
  const auto run = [&](const char* sql) {
    MustBe(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK,
           sqlite3_errmsg(database));
  };
  run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
      "CREATE TABLE records (position INTEGER PRIMARY KEY, record BLOB NOT NULL)");
  sqlite3_stmt* insert = nullptr;
  MustBe(sqlite3_prepare_v2(database, "INSERT INTO records (record) VALUES (zeroblob(512))", -1,
                            &insert, nullptr) == SQLITE_OK,
         sqlite3_errmsg(database));
  Samples samples;
  const absl::Time end = absl::Now() + time;
  for (absl::Time begin = absl::Now(); begin < end; begin = absl::Now()) {
    MustBe(sqlite3_step(insert) == SQLITE_DONE, sqlite3_errmsg(database));
    sqlite3_reset(insert);
    samples.Add(absl::Now() - begin);
  }
  sqlite3_finalize(insert);
  sqlite3_close(database);
  return samples;
}

Throughput Execute(EventLog* log, int writers, int events, absl::Duration time) {
  Service service(log, LimitsOf(true));
  const absl::Time begin = absl::Now();
  Writers load(&service, writers, events, [&](uint64_t) { return absl::Now() < begin + time; });
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  Throughput throughput;
  throughput.commands_per_second = static_cast<double>(load.commands()) / seconds;
  throughput.events_per_second = throughput.commands_per_second * events;
  throughput.latency = std::move(load.latency());
  return throughput;
}

void Fill(EventLog* log, uint64_t records) {
  constexpr int kWriters = 1'000;
  Service service(log, LimitsOf(false));
  Writers load(&service, kWriters, 1, [&](uint64_t number) { return number < records; });
}

absl::Duration Start(EventLog* log, bool snapshots) {
  const absl::Time begin = absl::Now();
  Service service(log, LimitsOf(snapshots));
  const absl::Duration took = absl::Now() - begin;
  // The next command is what a snapshot is stored with.
  if (snapshots) Writers(&service, 1, 1, [](uint64_t number) { return number == 0; });
  return took;
}

}  // namespace berth::bench
