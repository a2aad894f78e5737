#include "common/eventlog/postgres_checks.h"

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

// The rights that a log needs, by table; of each table the ones that this user lacks.
constexpr char kMissingRights[] = R"sql(
  SELECT string_agg(
    'GRANT ' || missing.rights || ' ON ' || missing.name || ' TO ' || quote_ident(current_user),
    '; ' ORDER BY missing.name)
  FROM (
    SELECT format('%I.%I', current_schema(), needed.name) AS name,
           string_agg(needed.right_name, ', ' ORDER BY needed.place) AS rights
    FROM (VALUES (1, 'berth_format', 'SELECT'),
                 (2, 'berth_lease', 'SELECT'),
                 (3, 'berth_lease', 'INSERT'),
                 (4, 'berth_lease', 'UPDATE'),
                 (5, 'berth_record', 'SELECT'),
                 (6, 'berth_record', 'INSERT'),
                 (7, 'berth_record', 'DELETE'),
                 (8, 'berth_row', 'SELECT'),
                 (9, 'berth_row', 'INSERT'),
                 (10, 'berth_row', 'UPDATE'),
                 (11, 'berth_row', 'DELETE')) AS needed (place, name, right_name)
    WHERE NOT has_table_privilege(format('%I.%I', current_schema(), needed.name),
                                  needed.right_name)
    GROUP BY needed.name
  ) AS missing
)sql";

}  // namespace

bool HasLogTables(PostgresTransaction& transaction) {
  // Unlike information_schema, this shows a table without any right on it, too.
  const pqxx::result found = transaction.Run(
      "SELECT count(*) FROM pg_catalog.pg_tables "
      "WHERE tablename = 'berth_format' AND schemaname = current_schema()");
  return found[0][0].as<int64_t>() > 0;
}

absl::Status CheckMayMakeLogTables(PostgresTransaction& transaction) {
  const pqxx::result found = transaction.Run(
      "SELECT quote_ident(current_user), current_database(), "
      "coalesce(quote_ident(current_schema()), ''), "
      "coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)");
  const std::string user = found[0][0].as<std::string>();
  const std::string database = found[0][1].as<std::string>();
  const std::string schema = found[0][2].as<std::string>();
  if (schema.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the user ", user, " may use no schema of the database ", database,
                     "; run as its owner: GRANT USAGE, CREATE ON SCHEMA public TO ", user));
  }
  if (found[0][3].as<bool>()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the user ", user, " may not make tables in the schema ", schema, " of the database ",
      database, ", and Berth's are not there; run as its owner: GRANT CREATE ON SCHEMA ", schema,
      " TO ", user));
}

absl::Status CheckMayUseLogTables(PostgresTransaction& transaction) {
  const pqxx::result grants = transaction.Run(kMissingRights);
  if (grants[0][0].is_null()) return absl::OkStatus();
  const pqxx::result found =
      transaction.Run("SELECT quote_ident(current_user), current_database()");
  return absl::FailedPreconditionError(absl::StrCat(
      "the user ", found[0][0].c_str(), " lacks rights on Berth's tables in the ", "database ",
      found[0][1].c_str(), "; run as their owner: ", grants[0][0].c_str()));
}

std::vector<std::string> MakeDurable(PostgresTransaction& transaction) {
  const pqxx::result settings = transaction.Run(
      "SELECT coalesce(current_setting('synchronous_commit', true), ''), "
      "coalesce(current_setting('synchronous_standby_names', true), 'none needed'), "
      "coalesce(current_setting('fsync', true), '')");
  std::vector<std::string> warnings;
  const std::string commit = settings[0][0].as<std::string>();
  // Other values wait for more than this.
  if (commit == "off" || commit == "local") {
    transaction.Run("SET synchronous_commit = on");
    warnings.push_back(absl::StrCat(
        "PostgreSQL's synchronous_commit is ", commit,
        ", by which what it confirms may be lost; Berth turns it on for its own connection, which "
        "a pooler between them may undo: turn it on for this user"));
  }
  if (settings[0][1].as<std::string>().empty() || settings[0][2].as<std::string>() == "off") {
    warnings.push_back(
        "what PostgreSQL confirms is on one machine only, and lost with it; let it replicate "
        "synchronously (synchronous_standby_names), with fsync on");
  }
  return warnings;
}

}  // namespace berth
