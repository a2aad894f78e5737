#include "common/eventlog/postgres_database.h"

#include <libpq-fe.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/check/check.h"
#include "common/eventlog/postgres_checks.h"
#include "common/eventlog/postgres_transaction.h"
#include "common/log/log.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// A server that is gone is noticed within about a lease, whichever process had it. A value in the
// connection string comes before these.
struct Default {
  const char* keyword;
  const char* value;
};
constexpr Default kConnectionDefaults[] = {
    {"application_name", "berth"}, {"connect_timeout", "3"},      // Seconds, for each host.
    {"keepalives_idle", "3"},      {"keepalives_interval", "1"},  // Seconds.
    {"keepalives_count", "3"},     {"tcp_user_timeout", "5000"},  // Milliseconds.
};

// Of the session, in milliseconds: how long a statement may run, how long it may wait for a lock,
// and how long a transaction may stand open with nothing to do — a process that froze in the middle
// of an append would otherwise keep its lease's row locked against every other, and is to do so for
// less than the lease itself takes to end.
constexpr const char* kSessionTimeouts[] = {
    "SET statement_timeout = 10000",
    "SET lock_timeout = 2000",
    "SET idle_in_transaction_session_timeout = 3000",
};

// 1: a lease had no address.
constexpr int64_t kFormat = 2;

constexpr const char* kSchema[] = {
    R"sql(CREATE TABLE berth_format (
      id integer PRIMARY KEY,
      version integer NOT NULL
    ))sql",
    R"sql(CREATE TABLE berth_record (
      stream text NOT NULL,
      position bigint NOT NULL,
      hash bytea NOT NULL,
      bytes bytea NOT NULL,
      PRIMARY KEY (stream, position)
    ))sql",
    R"sql(CREATE TABLE berth_row (
      stream text NOT NULL,
      key bytea NOT NULL,
      value bytea NOT NULL,
      PRIMARY KEY (stream, key)
    ))sql",
    R"sql(CREATE TABLE berth_lease (
      stream text PRIMARY KEY,
      holder text NOT NULL,
      address text NOT NULL DEFAULT '',
      token bigint NOT NULL,
      ends_at timestamp with time zone NOT NULL
    ))sql",
};

// From format 1 to 2.
constexpr const char* kUpgrade[] = {
    "ALTER TABLE berth_lease ADD COLUMN address text NOT NULL DEFAULT ''",
    "UPDATE berth_format SET version = 2 WHERE id = 1",
};

// Times are the database's own, so that processes whose clocks differ agree on when a lease ends.
constexpr char kTakeLease[] = R"sql(
  INSERT INTO berth_lease (stream, holder, address, token, ends_at)
  VALUES ($1, $2, $5, 1, clock_timestamp() + $3::double precision * interval '1 millisecond')
  ON CONFLICT (stream) DO UPDATE
  SET holder = excluded.holder,
      address = excluded.address,
      ends_at = excluded.ends_at,
      token = CASE WHEN berth_lease.token = $4 THEN berth_lease.token
                   ELSE berth_lease.token + 1 END
  WHERE berth_lease.token = $4 OR berth_lease.ends_at <= clock_timestamp()
  RETURNING token
)sql";

// Who holds a lease that is not the one with this token.
constexpr char kOtherHolder[] = R"sql(
  SELECT holder, address FROM berth_lease
  WHERE stream = $1 AND token <> $2 AND ends_at > clock_timestamp()
)sql";

std::string FirstLine(absl::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

// Whether the error is of a type, which libpqxx 6 has for the commoner ones and then does not say
// the state, or has a state (SQLSTATE) that begins like this.
template <typename Type>
bool Is(const pqxx::sql_error& error, absl::string_view state) {
  return dynamic_cast<const Type*>(&error) != nullptr || absl::StartsWith(error.sqlstate(), state);
}

absl::Status StatusOf(const pqxx::sql_error& error) {
  // The lines after the first may show values.
  const std::string message = absl::StrCat("database: ", FirstLine(error.what()));
  // Another process was there first: with a record, or (42P07, duplicate_table) with the tables.
  if (Is<pqxx::unique_violation>(error, "23505") || error.sqlstate() == "42P07") {
    return absl::AbortedError(message);
  }
  if (Is<pqxx::disk_full>(error, "53100")) return absl::ResourceExhaustedError(message);
  if (absl::StartsWith(error.sqlstate(), "XX")) return absl::DataLossError(message);
  if (Is<pqxx::insufficient_privilege>(error, "42501") || Is<pqxx::syntax_error>(error, "42")) {
    return absl::FailedPreconditionError(message);
  }
  return absl::UnavailableError(message);
}

// `connection` with the defaults for what it does not say.
absl::StatusOr<std::string> WithDefaults(const std::string& connection) {
  char* error = nullptr;
  PQconninfoOption* const options = PQconninfoParse(connection.c_str(), &error);
  if (options == nullptr) {
    // The error may quote the string, and the string may hold a password.
    PQfreemem(error);
    return absl::InvalidArgumentError(
        "the connection to PostgreSQL is neither \"host=… dbname=…\" nor a postgresql:// URI");
  }
  std::string complete;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    const char* value = option->val;
    for (const Default& each : kConnectionDefaults) {
      if (value == nullptr && each.keyword == absl::string_view(option->keyword)) {
        value = each.value;
      }
    }
    if (value == nullptr) continue;
    absl::StrAppend(&complete, option->keyword, "='",
                    absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"'", "\\'"}}), "' ");
  }
  PQconninfoFree(options);
  return complete;
}

absl::Status Upgrade(PostgresTransaction& transaction) {
  const pqxx::result mine = transaction.Run(
      "SELECT pg_has_role(tableowner, 'USAGE'), quote_ident(tableowner) FROM pg_catalog.pg_tables "
      "WHERE tablename = 'berth_lease' AND schemaname = current_schema()");
  if (!mine.empty() && !mine[0][0].as<bool>()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the database has format 1, which only the owner of its tables can change; run as ",
        mine[0][1].c_str(), ": ", kUpgrade[0], "; ", kUpgrade[1]));
  }
  for (const char* statement : kUpgrade) transaction.Run(statement);
  return absl::OkStatus();
}

absl::Status EnsureSchema(PostgresTransaction& transaction) {
  if (!HasLogTables(transaction)) {
    BERTH_RETURN_IF_ERROR(CheckMayMakeLogTables(transaction));
    for (const char* table : kSchema) transaction.Run(table);
    transaction.Run("INSERT INTO berth_format (id, version) VALUES (1, $1)", kFormat);
    return absl::OkStatus();
  }
  BERTH_RETURN_IF_ERROR(CheckMayUseLogTables(transaction));
  const pqxx::result stored = transaction.Run("SELECT version FROM berth_format WHERE id = 1");
  const int64_t version = stored.empty() ? 0 : stored[0][0].as<int64_t>();
  if (version == kFormat - 1) return Upgrade(transaction);
  if (version != kFormat) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the database has format ", version, ", and this version of Berth knows format ", kFormat,
        "; run the version of Berth that made it, or a newer one"));
  }
  return absl::OkStatus();
}

}  // namespace

struct PostgresDatabase::Session {
  explicit Session(const std::string& options) : connection(options) {
#if PQXX_VERSION_MAJOR < 7
    // libpqxx 6 reconnects by itself, without the session's settings.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    connection.inhibit_reactivation(true);
#pragma GCC diagnostic pop
#endif
  }

  pqxx::connection connection;
};

absl::StatusOr<std::shared_ptr<PostgresDatabase>> PostgresDatabase::Create(
    const std::string& connection, std::vector<std::string> streams) {
  BERTH_ASSIGN_OR_RETURN(std::string complete, WithDefaults(connection));
  std::sort(streams.begin(), streams.end());
  return std::shared_ptr<PostgresDatabase>(
      new PostgresDatabase(std::move(complete), std::move(streams)));
}

PostgresDatabase::PostgresDatabase(std::string connection, std::vector<std::string> streams)
    : connection_(std::move(connection)), streams_(std::move(streams)) {}

PostgresDatabase::~PostgresDatabase() {
  MutexLock lock(&mutex_);
  if (session_ == nullptr || tokens_.empty()) return;
  const std::map<std::string, int64_t> held = tokens_;
  const absl::Status given_back = TransactOn(*session_, [&held](PostgresTransaction& transaction) {
    for (const auto& [stream, token] : held) {
      transaction.Run(
          "UPDATE berth_lease SET ends_at = clock_timestamp() WHERE stream = $1 AND token = $2",
          stream, token);
    }
    return absl::OkStatus();
  });
  if (!given_back.ok()) {
    LogWarning("the lease was not given back and has to run out", {{"why", given_back.message()}});
  }
}

absl::StatusOr<int64_t> PostgresDatabase::TakeLease(const std::string& stream,
                                                    const LeaseHolder& holder,
                                                    absl::Duration duration) {
  BERTH_CHECK(std::binary_search(streams_.begin(), streams_.end(), stream));
  MutexLock lock(&mutex_);
  const std::map<std::string, int64_t> held = tokens_;
  std::map<std::string, int64_t> taken;
  BERTH_RETURN_IF_ERROR(TransactLocked([&](PostgresTransaction& transaction) -> absl::Status {
    for (const std::string& each : streams_) {
      const auto known = held.find(each);
      const int64_t token = known == held.end() ? 0 : known->second;
      // Asked first, as often as a standby asks: the statement that takes the lease locks its row.
      const pqxx::result other = transaction.Run(kOtherHolder, each, token);
      if (!other.empty()) {
        return LeaseHeldBy(each, {other[0][0].c_str(), other[0][1].c_str()});
      }
      const pqxx::result lease =
          transaction.Run(kTakeLease, each, holder.name, absl::ToInt64Milliseconds(duration), token,
                          holder.address);
      if (lease.empty()) return LeaseHeldBy(each, {"another process, which was a moment faster"});
      taken[each] = lease[0][0].as<int64_t>();
    }
    return absl::OkStatus();
  }));
  tokens_ = std::move(taken);
  return tokens_[stream];
}

absl::Status PostgresDatabase::Transact(
    absl::FunctionRef<absl::Status(PostgresTransaction&)> body) {
  MutexLock lock(&mutex_);
  return TransactLocked(body);
}

absl::Status PostgresDatabase::TransactLocked(
    absl::FunctionRef<absl::Status(PostgresTransaction&)> body) {
  if (session_ == nullptr) {
    BERTH_ASSIGN_OR_RETURN(session_, Connect());
  }
  bool refused_by_body = false;
  absl::Status status = TransactOn(*session_, [&](PostgresTransaction& transaction) {
    absl::Status result = body(transaction);
    refused_by_body = !result.ok();
    return result;
  });
  // Where the database failed, the next call begins with a new connection: this one may be broken.
  if (!status.ok() && !refused_by_body) session_ = nullptr;
  return status;
}

absl::Status PostgresDatabase::TransactOn(
    Session& session, absl::FunctionRef<absl::Status(PostgresTransaction&)> body) {
  try {
    pqxx::work work(session.connection);
    PostgresTransaction transaction(work);
    BERTH_RETURN_IF_ERROR(body(transaction));
    work.commit();
    return absl::OkStatus();
  } catch (const pqxx::sql_error& error) {
    return StatusOf(error);
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("database: ", FirstLine(error.what())));
  }
}

absl::StatusOr<std::unique_ptr<PostgresDatabase::Session>> PostgresDatabase::Connect() {
  std::unique_ptr<Session> session;
  try {
    session = std::make_unique<Session>(connection_);
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("the database cannot be reached: ", FirstLine(error.what())));
  }
  std::vector<std::string> warnings;
  const absl::Status prepared = TransactOn(*session, [&](PostgresTransaction& transaction) {
    for (const char* timeout : kSessionTimeouts) transaction.Run(timeout);
    warnings = MakeDurable(transaction);
    return EnsureSchema(transaction);
  });
  // Two processes that find no tables make them at once, and one fails.
  if (absl::IsAborted(prepared)) {
    return absl::UnavailableError(
        absl::StrCat(prepared.message(),
                     "; another process may be making Berth's tables, so this one tries again; "
                     "where there is none, rename or drop the table"));
  }
  BERTH_RETURN_IF_ERROR(prepared);
  if (!std::exchange(warned_, true)) {
    for (const std::string& warning : warnings) LogWarning(warning);
  }
  return session;
}

}  // namespace berth
