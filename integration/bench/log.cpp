// How fast events become durable: in process beside what the disk and SQLite can do, on PostgreSQL
// beside pgbench, through gRPC beside etcd; and how fast a log is replayed.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/eventlog/postgres_event_log.h"
#include "common/eventlog/sqlite_event_log.h"
#include "common/testing/postgres_fixture.h"
#include "common/testing/temp_dir.h"
#include "integration/bench/append.h"
#include "integration/bench/peers.h"
#include "integration/bench/process_cost.h"
#include "integration/bench/report.h"
#include "integration/harness/own_machine.h"
#include "integration/harness/program.h"

namespace berth::bench {
namespace {

constexpr absl::Duration kTime = absl::Seconds(10);
constexpr int kWriters = 64;
constexpr int kEventsOfABatch = 100;
constexpr uint64_t kRecords = 1'000'000;
constexpr int kConnections = 8;
constexpr int kRounds = 3;  // Of each side through gRPC, in turns.

std::string Milliseconds(const Samples& samples) {
  return absl::StrFormat("%.3f (p99 %.3f)", samples.Median(), samples.Percentile(99));
}

// One client writes at a time: what the disk takes, what SQLite makes of it, and what Berth does.
double OneWriter(const testing::TempDir& folder, Table* table) {
  const Samples floor = SyncedAppends(folder.File("append"), kTime);
  table->Add({"fdatasync of 512 B, growing file", Milliseconds(floor), ""});
  table->Add({"fdatasync of 512 B, overwritten",
              Milliseconds(SyncedOverwrites(folder.File("append"), kTime)), ""});
  table->Add({"sqlite3, WAL, FULL, one row",
              Milliseconds(SqliteInserts(folder.File("sqlite.db"), kTime)), ""});
  const auto log = SqliteEventLog::Open(folder.File("one.db"), "keyvalue").value();
  const Throughput one = Execute(log.get(), 1, 1, kTime);
  table->Add({"Berth, 1 writer, SQLite", Milliseconds(one.latency),
              absl::StrFormat("%.0f", one.events_per_second)});
  return one.latency.Median() / floor.Median();
}

// Transactions per second that pgbench reports for so many clients, each inserting a row.
double PgbenchInserts(testing::PostgresCluster* cluster, const testing::TempDir& folder) {
  const std::string database = cluster->NewDatabase();
  cluster->Run(database, "CREATE TABLE records (position bigserial PRIMARY KEY, record bytea)");
  std::ofstream(folder.File("insert.sql"))
      << "INSERT INTO records (record) VALUES (decode(repeat('78', 512), 'hex'));\n";
  const std::string report = integration::MustRun(
      {"pgbench", "--no-vacuum", "--protocol=prepared", "--client", absl::StrCat(kWriters),
       "--jobs=2", "--time", absl::StrCat(absl::ToInt64Seconds(kTime)), "--file",
       folder.File("insert.sql"), database},
      kTime * 6);
  for (absl::string_view line : absl::StrSplit(report, '\n')) {
    double tps = 0;
    if (absl::ConsumePrefix(&line, "tps = ") &&
        absl::SimpleAtod(line.substr(0, line.find(' ')), &tps)) {
      return tps;
    }
  }
  throw std::runtime_error("pgbench does not say how fast it was: " + report);
}

double ManyWriters(const testing::TempDir& folder, Table* table) {
  testing::PostgresCluster cluster(testing::PostgresCluster::Durability::kFsync);
  const double pgbench = PgbenchInserts(&cluster, folder);
  table->Add({absl::StrCat("pgbench, ", kWriters, " clients, one row"), "",
              absl::StrFormat("%.0f", pgbench)});
  const std::shared_ptr<PostgresDatabase> database =
      PostgresDatabase::Create(cluster.NewDatabase(), {"keyvalue"}).value();
  PostgresEventLog postgres(database, "keyvalue");
  const Throughput on_postgres = Execute(&postgres, kWriters, 1, kTime);
  table->Add({absl::StrCat("Berth, ", kWriters, " writers, PostgreSQL"),
              Milliseconds(on_postgres.latency),
              absl::StrFormat("%.0f", on_postgres.events_per_second)});
  const auto log = SqliteEventLog::Open(folder.File("many.db"), "keyvalue").value();
  const Throughput on_sqlite = Execute(log.get(), kWriters, 1, kTime);
  table->Add({absl::StrCat("Berth, ", kWriters, " writers, SQLite"),
              Milliseconds(on_sqlite.latency),
              absl::StrFormat("%.0f", on_sqlite.events_per_second)});
  return on_postgres.events_per_second / pgbench;
}

// Calls per second of a server's own processor time.
double PutsPerCpuSecond(const LoadTarget& target, pid_t pid, Samples* latency) {
  const absl::Duration before = CpuOf(pid);
  const Load load = CallFor(target, kWriters, kConnections, kTime);
  *latency = load.latency;
  return static_cast<double>(load.calls) / absl::ToDoubleSeconds(CpuOf(pid) - before);
}

double ThroughGrpc(const testing::TempDir& folder, Table* table) {
  std::filesystem::create_directory(folder.File("keyvalue"));
  std::filesystem::create_directory(folder.File("etcd"));
  Samples berth;
  Samples etcd;
  Samples latency;
  const KeyValueServer keyvalue(folder.File("keyvalue"));
  const Etcd peer(folder.File("etcd"));
  for (int i = 0; i < kRounds; ++i) {
    berth.Add(PutsPerCpuSecond(keyvalue.Puts(), keyvalue.pid(), &latency));
    if (i + 1 == kRounds) {
      table->Add({absl::StrCat("Berth, gRPC, ", kWriters, " clients, per CPU second"),
                  Milliseconds(latency), berth.Summary()});
    }
    etcd.Add(PutsPerCpuSecond(peer.Puts(), peer.pid(), &latency));
  }
  table->Add({absl::StrCat("etcd, gRPC, ", kWriters, " clients, per CPU second"),
              Milliseconds(latency), etcd.Summary()});
  return berth.Median() / etcd.Median();
}

int Main() {
  integration::OwnMachine::Enter();
  const testing::TempDir folder;
  Table table({"", "ms, median", "events/s"});
  nlohmann::ordered_json result = {{"bench", "log"}};
  result["one_writer_vs_floor"] = OneWriter(folder, &table);
  result["writers64_vs_pgbench"] = ManyWriters(folder, &table);
  result["rpc_puts_per_cpu_second_vs_etcd"] = ThroughGrpc(folder, &table);

  {
    const auto log = SqliteEventLog::Open(folder.File("batched.db"), "keyvalue").value();
    const Throughput batched = Execute(log.get(), kWriters, kEventsOfABatch, kTime);
    table.Add({absl::StrCat("Berth, ", kEventsOfABatch, " events a command"),
               Milliseconds(batched.latency), absl::StrFormat("%.0f", batched.events_per_second)});
    result["batched_events_per_second"] = batched.events_per_second;
  }
  const std::string path = folder.File("million.db");
  Fill(SqliteEventLog::Open(path, "keyvalue").value().get(), kRecords);
  const absl::Duration replay = Start(SqliteEventLog::Open(path, "keyvalue").value().get(), false);
  result["replay_events_per_second"] =
      static_cast<double>(kRecords) / absl::ToDoubleSeconds(replay);
  table.Add({"replay of 1,000,000 records",
             absl::StrFormat("%.0f", absl::ToDoubleMilliseconds(replay)),
             absl::StrFormat("%.0f", result["replay_events_per_second"].get<double>())});
  Start(SqliteEventLog::Open(path, "keyvalue").value().get(), true);
  const absl::Duration restart = Start(SqliteEventLog::Open(path, "keyvalue").value().get(), true);
  result["restart_1m_seconds"] = absl::ToDoubleSeconds(restart);
  table.Add({"restart with them, from a snapshot",
             absl::StrFormat("%.0f", absl::ToDoubleMilliseconds(restart)), ""});
  std::cout << table.ToString() << result.dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace berth::bench

int main() { return berth::bench::ExitCodeOf(berth::bench::Main); }
