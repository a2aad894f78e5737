#include "common/eventlog/postgres_event_log.h"

#include <functional>
#include <thread>

#include "common/eventlog/event_log_contract.h"
#include "common/eventlog/postgres_checks.h"
#include "common/eventlog/postgres_transaction.h"
#include "common/log/log.h"
#include "common/status/status_macros.h"
#include "common/testing/postgres_fixture.h"

namespace berth {
namespace {

using contract::BytesOf;
using contract::RecordsAfter;

testing::PostgresCluster& Cluster() {
  // A warning that this cluster does not replicate, at every connection, tells nobody anything.
  SetLogLevel(LogLevel::kError);
  static testing::PostgresCluster cluster;
  return cluster;
}

struct PostgresFixture : EndingLeaseFixture {
  absl::StatusOr<std::unique_ptr<EventLog>> Open() override { return OpenStream("config"); }

  // A process with this one stream.
  std::unique_ptr<EventLog> OpenStream(const std::string& stream) {
    return std::make_unique<PostgresEventLog>(OpenDatabase({stream}), stream);
  }

  std::shared_ptr<PostgresDatabase> OpenDatabase(std::vector<std::string> streams) {
    auto database = PostgresDatabase::Create(connection, std::move(streams));
    REQUIRE(database.status() == absl::OkStatus());
    return *database;
  }

  void EndLeases() override {
    Run("UPDATE berth_lease SET ends_at = clock_timestamp() - interval '1 second'");
  }

  void Run(const std::string& sql) { Cluster().Run(connection, sql); }

  // Makes the database run `statements` (PL/pgSQL) before it inserts a record `when` that is so.
  void RunBeforeInsert(const std::string& when, const std::string& statements) {
    Run(absl::StrCat("CREATE EXTENSION dblink; ",
                     "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ",
                     statements, " RETURN NEW; END $$; ",
                     "CREATE TRIGGER meddle BEFORE INSERT ON berth_record FOR EACH ROW WHEN (",
                     when, ") EXECUTE FUNCTION meddle()"));
  }

  const std::string connection = Cluster().NewDatabase();
};

TEST_CASE("the PostgreSQL log keeps the contract", "[eventlog][postgres]") {
  PostgresFixture fixture;
  CheckEventLogContract(fixture);
}

TEST_CASE("leases of the PostgreSQL log end as the contract says", "[eventlog][postgres]") {
  PostgresFixture fixture;
  CheckEndingLeaseContract(fixture);
}

TEST_CASE("streams of one PostgreSQL database have nothing in common", "[eventlog][postgres]") {
  PostgresFixture fixture;
  const auto config = fixture.OpenStream("config");
  const auto auth = fixture.OpenStream("auth");
  REQUIRE(config->TakeLease({"first"}, contract::kLease) == absl::OkStatus());
  REQUIRE(auth->TakeLease({"second"}, contract::kLease) == absl::OkStatus());
  REQUIRE(config->Append(0, RecordsAfter(0, {"one"}), std::vector<RowChange>{{"a", "1"}}).ok());
  CHECK(auth->Read(0, 10)->empty());
  CHECK(auth->ListRows("")->empty());
  CHECK(auth->Append(0, RecordsAfter(0, {"other"}), std::vector<RowChange>{{"a", "2"}}).ok());
  CHECK(*config->GetRow("a") == "1");
}

TEST_CASE("a process takes the lease of all its streams or of none", "[eventlog][postgres]") {
  PostgresFixture fixture;
  const auto process = fixture.OpenDatabase({"config", "auth"});
  PostgresEventLog config(process, "config");
  PostgresEventLog auth(process, "auth");
  const auto other_auth = fixture.OpenStream("auth");

  SECTION("taken through one log, it is taken for the other") {
    REQUIRE(config.TakeLease({"first"}, contract::kLease) == absl::OkStatus());
    CHECK(absl::IsUnavailable(other_auth->TakeLease({"second"}, contract::kLease)));
    CHECK(auth.TakeLease({"first"}, contract::kLease) == absl::OkStatus());
  }
  SECTION("where one stream is held by another process, none is taken") {
    REQUIRE(other_auth->TakeLease({"second"}, contract::kLease) == absl::OkStatus());
    const absl::Status refused = config.TakeLease({"first"}, contract::kLease);
    CHECK(absl::IsUnavailable(refused));
    CHECK_THAT(std::string(refused.message()), Catch::Contains("stream auth is held by second"));
    const auto other_config = fixture.OpenStream("config");
    CHECK(other_config->TakeLease({"third"}, contract::kLease) == absl::OkStatus());
  }
  SECTION("every log is told of a loss, whichever renewed first") {
    REQUIRE(config.TakeLease({"first"}, contract::kLease) == absl::OkStatus());
    REQUIRE(auth.TakeLease({"first"}, contract::kLease) == absl::OkStatus());
    fixture.EndLeases();
    REQUIRE(other_auth->TakeLease({"second"}, contract::kLease) == absl::OkStatus());
    CHECK(absl::IsAborted(config.TakeLease({"first"}, contract::kLease)));
    fixture.EndLeases();
    REQUIRE(config.TakeLease({"first"}, contract::kLease) == absl::OkStatus());
    CHECK(absl::IsAborted(auth.Append(0, RecordsAfter(0, {"late"}), {})));
    CHECK(absl::IsAborted(auth.TakeLease({"first"}, contract::kLease)));
    CHECK(auth.TakeLease({"first"}, contract::kLease) == absl::OkStatus());
  }
}

// Runs `body` with the numbers below `count`, each on a thread of its own, and returns what they
// returned.
std::vector<absl::Status> RunAtOnce(int count, const std::function<absl::Status(int)>& body) {
  std::vector<absl::Status> results(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&results, &body, i] { results[static_cast<size_t>(i)] = body(i); });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

TEST_CASE("the services of a process share one connection from their own threads",
          "[eventlog][postgres]") {
  PostgresFixture fixture;
  const std::vector<std::string> streams = {"auth", "config", "routes", "scheduler"};
  const auto database = fixture.OpenDatabase(streams);
  const auto results = RunAtOnce(4, [&](int i) -> absl::Status {
    const std::string& stream = streams[static_cast<size_t>(i)];
    PostgresEventLog log(database, stream);
    BERTH_RETURN_IF_ERROR(log.TakeLease({"first"}, contract::kLease));
    for (uint64_t after = 0; after < 20; ++after) {
      BERTH_RETURN_IF_ERROR(log.Append(after, RecordsAfter(after, {stream}), {}));
      BERTH_RETURN_IF_ERROR(log.TakeLease({"first"}, contract::kLease));
    }
    return absl::OkStatus();
  });
  for (const absl::Status& result : results) CHECK(result == absl::OkStatus());
  for (const std::string& stream : streams) {
    CHECK(BytesOf(*PostgresEventLog(database, stream).Read(0, 100)) ==
          std::vector<std::string>(20, stream));
  }
}

TEST_CASE("processes that find no tables at the same time end up with one set of them",
          "[eventlog][postgres]") {
  PostgresFixture fixture;
  std::vector<std::unique_ptr<EventLog>> logs;
  for (const char* stream : {"auth", "config", "routes", "scheduler"}) {
    logs.push_back(fixture.OpenStream(stream));
  }
  const auto results = RunAtOnce(
      4, [&](int i) { return logs[static_cast<size_t>(i)]->TakeLease({"it"}, contract::kLease); });
  for (const absl::Status& result : results) {
    INFO(result);
    CHECK((result.ok() || absl::IsUnavailable(result)));
  }
  for (const auto& log : logs) {
    CHECK(log->TakeLease({"it"}, contract::kLease) == absl::OkStatus());
    CHECK(log->Append(0, RecordsAfter(0, {"one"}), {}) == absl::OkStatus());
  }
}

TEST_CASE("a table that appears while the tables are made is waited for", "[eventlog][postgres]") {
  PostgresFixture fixture;
  fixture.Run("CREATE TABLE berth_record (other integer)");
  const auto log = fixture.OpenStream("config");
  const absl::Status taken = log->TakeLease({"first"}, contract::kLease);
  INFO(taken);
  CHECK(absl::IsUnavailable(taken));
  CHECK_THAT(std::string(taken.message()),
             Catch::Contains("berth_record") && Catch::Contains("rename or drop"));
  fixture.Run("DROP TABLE berth_record");
  CHECK(log->TakeLease({"first"}, contract::kLease) == absl::OkStatus());
}

TEST_CASE("a database that comes back is used again, with what it had", "[eventlog][postgres]") {
  PostgresFixture fixture;
  const auto log = fixture.OpenStream("config");
  REQUIRE(log->TakeLease({"first"}, contract::kLease) == absl::OkStatus());
  REQUIRE(log->Append(0, RecordsAfter(0, {"one"}), {}) == absl::OkStatus());

  SECTION("a connection that broke costs one call") {
    fixture.Run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'berth' AND datname = current_database()");
    CHECK(absl::IsUnavailable(log->Append(1, RecordsAfter(1, {"two"}), {})));
  }
  SECTION("while the database is down every call is unavailable") {
    Cluster().Stop();
    CHECK(absl::IsUnavailable(log->Append(1, RecordsAfter(1, {"two"}), {})));
    CHECK(absl::IsUnavailable(log->Read(0, 10).status()));
    CHECK(absl::IsUnavailable(log->GetRow("a").status()));
    CHECK(absl::IsUnavailable(log->ListRows("").status()));
    CHECK(absl::IsUnavailable(log->TakeLease({"first"}, contract::kLease)));
    const auto second = fixture.OpenStream("config");
    CHECK(absl::IsUnavailable(second->TakeLease({"second"}, contract::kLease)));
    Cluster().Start();
  }
  // The lease is the process's still: it was never anyone else's.
  CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"one"});
  CHECK(log->Append(1, RecordsAfter(1, {"three"}), {}) == absl::OkStatus());
}

TEST_CASE("nobody takes over in the middle of an append", "[eventlog][postgres]") {
  PostgresFixture fixture;
  const auto log = fixture.OpenStream("config");
  REQUIRE(log->TakeLease({"first"}, contract::kLease) == absl::OkStatus());
  // Another connection tries, at the moment when the append inserts its record, to take the lease;
  // it must be kept waiting.
  fixture.RunBeforeInsert(
      "true", absl::StrCat("PERFORM dblink_connect('other', '", fixture.connection, R"sql(');
      PERFORM dblink_exec('other', 'SET lock_timeout = 100');
      BEGIN
        PERFORM dblink_exec('other', 'UPDATE berth_lease SET token = token + 1');
        RAISE EXCEPTION 'the lease was taken';
      EXCEPTION WHEN lock_not_available THEN
        PERFORM dblink_disconnect('other');
      END;)sql"));
  CHECK(log->Append(0, RecordsAfter(0, {"one"}), {}) == absl::OkStatus());
  CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"one"});
}

TEST_CASE("a log whose tables were made by another user needs no right to make any",
          "[eventlog][postgres]") {
  PostgresFixture fixture;
  const auto owner = fixture.OpenStream("config");
  REQUIRE(owner->TakeLease({"first"}, contract::kLease) == absl::OkStatus());
  fixture.Run(
      "CREATE ROLE guest_of_config LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON "
      "ALL TABLES IN SCHEMA public TO guest_of_config; "
      "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
  auto guest = PostgresDatabase::Create(fixture.connection + " user=guest_of_config", {"auth"});
  REQUIRE(guest.status() == absl::OkStatus());
  PostgresEventLog log(*guest, "auth");
  CHECK(log.TakeLease({"guest"}, contract::kLease) == absl::OkStatus());
  CHECK(log.Append(0, RecordsAfter(0, {"one"}), std::vector<RowChange>{{"a", "1"}}) ==
        absl::OkStatus());
}

// How the user `guest` is refused a log in the fixture's database.
std::string RefusalOfGuest(const PostgresFixture& fixture) {
  const auto database = PostgresDatabase::Create(fixture.connection + " user=guest", {"auth"});
  REQUIRE(database.status() == absl::OkStatus());
  const absl::Status refused =
      PostgresEventLog(*database, "auth").TakeLease({"guest"}, contract::kLease);
  CHECK(refused.code() == absl::StatusCode::kFailedPrecondition);
  return std::string(refused.message());
}

TEST_CASE("a user without a right is told which, on what, and how to get it",
          "[eventlog][postgres]") {
  PostgresFixture fixture;
  // Roles are the cluster's.
  fixture.Run("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN");
  SECTION("to make tables where there are none") {
    fixture.Run("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    CHECK_THAT(RefusalOfGuest(fixture), Catch::Contains("GRANT CREATE ON SCHEMA public TO guest"));
  }
  SECTION("to use any schema") {
    fixture.Run("REVOKE ALL ON SCHEMA public FROM PUBLIC");
    CHECK_THAT(RefusalOfGuest(fixture),
               Catch::Contains("GRANT USAGE, CREATE ON SCHEMA public TO guest"));
  }
  SECTION("to use the tables that another user made") {
    REQUIRE(fixture.OpenStream("config")->Read(0, 1).status() == absl::OkStatus());
    fixture.Run("GRANT SELECT ON berth_format, berth_lease, berth_record, berth_row TO guest");
    CHECK_THAT(RefusalOfGuest(fixture),
               Catch::EndsWith("GRANT INSERT, UPDATE ON public.berth_lease TO guest; "
                               "GRANT INSERT, DELETE ON public.berth_record TO guest; "
                               "GRANT INSERT, UPDATE, DELETE ON public.berth_row TO guest"));
  }
  fixture.Run("DROP OWNED BY guest; DROP ROLE guest");
}

TEST_CASE("a database that confirms before it has written is warned of, and told to wait",
          "[eventlog][postgres]") {
  PostgresFixture fixture;
  fixture.Run(
      absl::StrCat("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = ",
                   "off', current_database()); END $$"));
  pqxx::connection connection(fixture.connection);
  pqxx::work work(connection);
  PostgresTransaction transaction(work);
  const std::vector<std::string> warnings = MakeDurable(transaction);
  REQUIRE(warnings.size() == 2);
  CHECK_THAT(warnings[0], Catch::Contains("synchronous_commit is off"));
  CHECK_THAT(warnings[1], Catch::Contains("synchronous_standby_names"));

  const auto database = fixture.OpenDatabase({"config"});
  std::string setting;
  const auto ask = [&setting](PostgresTransaction& logs) {
    setting = logs.Run("SHOW synchronous_commit")[0][0].c_str();
    return absl::OkStatus();
  };
  CHECK(database->Transact(ask) == absl::OkStatus());
  CHECK(setting == "on");
}

// The tables of format 1, as an earlier version made them, with a record and a lease.
void MakeFormat1(const PostgresFixture& fixture) {
  REQUIRE(fixture.connection != "");
  Cluster().Run(fixture.connection,
                "CREATE TABLE berth_format (id integer PRIMARY KEY, version integer NOT NULL); "
                "CREATE TABLE berth_record (stream text NOT NULL, position bigint NOT NULL, "
                "hash bytea NOT NULL, bytes bytea NOT NULL, PRIMARY KEY (stream, position)); "
                "CREATE TABLE berth_row (stream text NOT NULL, key bytea NOT NULL, "
                "value bytea NOT NULL, PRIMARY KEY (stream, key)); "
                "CREATE TABLE berth_lease (stream text PRIMARY KEY, holder text NOT NULL, "
                "token bigint NOT NULL, ends_at timestamp with time zone NOT NULL); "
                "INSERT INTO berth_format VALUES (1, 1); "
                "INSERT INTO berth_record VALUES ('config', 1, '', 'one'); "
                "INSERT INTO berth_lease VALUES ('config', 'earlier', 7, clock_timestamp())");
}

TEST_CASE("a database of the format before is brought to this one, by its owner",
          "[eventlog][postgres]") {
  PostgresFixture fixture;
  MakeFormat1(fixture);
  SECTION("as soon as one connects") {
    const auto log = fixture.OpenStream("config");
    REQUIRE(log->TakeLease({"first", "host-1:7443"}, contract::kLease) == absl::OkStatus());
    CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"one"});
    CHECK(log->Append(1, RecordsAfter(1, {"two"}), {}) == absl::OkStatus());
    const absl::Status refused =
        fixture.OpenStream("config")->TakeLease({"second"}, contract::kLease);
    CHECK(ReasonMetadataOf(refused)["address"] == "host-1:7443");
  }
  SECTION("and another user is told what the owner has to do") {
    fixture.Run(
        "DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN; "
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest");
    const auto database = PostgresDatabase::Create(fixture.connection + " user=guest", {"config"});
    REQUIRE(database.status() == absl::OkStatus());
    const absl::Status refused =
        PostgresEventLog(*database, "config").TakeLease({"guest"}, contract::kLease);
    CHECK(refused.code() == absl::StatusCode::kFailedPrecondition);
    CHECK_THAT(std::string(refused.message()),
               Catch::Contains("ALTER TABLE berth_lease ADD COLUMN address"));
    fixture.Run("DROP OWNED BY guest; DROP ROLE guest");
  }
}

TEST_CASE("a connection that is lost in the middle of a commit leaves all or nothing",
          "[eventlog][postgres]") {
  PostgresFixture fixture;
  const auto log = fixture.OpenStream("config");
  REQUIRE(log->TakeLease({"first"}, contract::kLease) == absl::OkStatus());
  // Runs when the transaction commits, after its last statement.
  fixture.Run(
      "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$; "
      "CREATE CONSTRAINT TRIGGER break_off AFTER INSERT ON berth_record "
      "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.position = 1) "
      "EXECUTE FUNCTION break_off()");
  CHECK(absl::IsUnavailable(
      log->Append(0, RecordsAfter(0, {"one"}), std::vector<RowChange>{{"a", "1"}})));
  CHECK(log->Read(0, 10)->empty());
  CHECK(log->ListRows("")->empty());
  fixture.Run("DROP TRIGGER break_off ON berth_record");
  CHECK(log->Append(0, RecordsAfter(0, {"one"}), {}) == absl::OkStatus());
}

TEST_CASE("a database of a newer format is refused", "[eventlog][postgres]") {
  PostgresFixture fixture;
  REQUIRE(fixture.OpenStream("config")->Read(0, 1).status() == absl::OkStatus());
  fixture.Run("UPDATE berth_format SET version = 3");
  const absl::Status refused = fixture.OpenStream("config")->Read(0, 1).status();
  CHECK(refused.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(refused.message()), Catch::Contains("format 3"));
}

TEST_CASE("a missing position in PostgreSQL is data loss, named", "[eventlog][postgres]") {
  PostgresFixture fixture;
  const auto log = fixture.OpenStream("config");
  REQUIRE(log->TakeLease({"first"}, contract::kLease) == absl::OkStatus());
  REQUIRE(log->Append(0, RecordsAfter(0, {"one", "two", "three"}), {}) == absl::OkStatus());
  fixture.Run("DELETE FROM berth_record WHERE position = 2");
  const absl::Status status = log->Read(0, 10).status();
  CHECK(absl::IsDataLoss(status));
  CHECK_THAT(std::string(status.message()), Catch::Contains("stream config, position 2"));
}

TEST_CASE("a record that someone else puts in an append's place stops the append",
          "[eventlog][postgres]") {
  PostgresFixture fixture;
  const auto log = fixture.OpenStream("config");
  REQUIRE(log->TakeLease({"first"}, contract::kLease) == absl::OkStatus());
  // After the append has looked where the log ends, and before it inserts its record.
  fixture.RunBeforeInsert(
      "NEW.bytes <> 'intruder'",
      absl::StrCat("PERFORM dblink_exec('", fixture.connection, "', ",
                   "'INSERT INTO berth_record VALUES (''config'', 1, '''', ''intruder'')');"));
  CHECK(absl::IsAborted(
      log->Append(0, RecordsAfter(0, {"one"}), std::vector<RowChange>{{"a", "1"}})));
  CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"intruder"});
  CHECK(log->ListRows("")->empty());
}

TEST_CASE("an error of the database says what the caller may do", "[eventlog][postgres]") {
  struct Row {
    const char* state;
    absl::StatusCode code;
  };
  const Row row = GENERATE(Row{"53100", absl::StatusCode::kResourceExhausted},   // Disk full.
                           Row{"XX001", absl::StatusCode::kDataLoss},            // Data corrupted.
                           Row{"42501", absl::StatusCode::kFailedPrecondition},  // No permission.
                           Row{"40001", absl::StatusCode::kUnavailable},   // Not serialisable.
                           Row{"57014", absl::StatusCode::kUnavailable},   // Timed out.
                           Row{"25006", absl::StatusCode::kUnavailable});  // Read-only standby.
  PostgresFixture fixture;
  const auto log = fixture.OpenStream("config");
  REQUIRE(log->TakeLease({"first"}, contract::kLease) == absl::OkStatus());
  fixture.RunBeforeInsert(
      "true", absl::StrCat("RAISE EXCEPTION 'so it is' USING ERRCODE = '", row.state, "';"));
  const absl::Status status = log->Append(0, RecordsAfter(0, {"one"}), {});
  CHECK(status.code() == row.code);
  CHECK_THAT(std::string(status.message()), Catch::Contains("so it is"));
  CHECK(log->Read(0, 10)->empty());
}

TEST_CASE("a connection string that is none is refused, and not repeated", "[eventlog][postgres]") {
  const absl::Status refused =
      PostgresDatabase::Create("password=hunter2 nonsense", {"config"}).status();
  CHECK(absl::IsInvalidArgument(refused));
  CHECK_THAT(std::string(refused.message()), !Catch::Contains("hunter2"));
}

}  // namespace
}  // namespace berth
