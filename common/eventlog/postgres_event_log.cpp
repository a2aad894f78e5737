#include "common/eventlog/postgres_event_log.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/eventlog/postgres_transaction.h"
#include "common/eventlog/read_limit.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// A statement is sent when it holds this many bytes. PostgreSQL takes up to 1 GiB in one, and
// keeps it in memory several times over.
constexpr size_t kStatementBytesMax = size_t{4} << 20;

// Records that one Read looks at, whatever its `count_max`.
constexpr size_t kReadCountMax = 10'000;

// Records that one EraseThrough erases, whatever its `count_max`.
constexpr size_t kEraseCountMax = 10'000;

// SQL's text form of an array, whose elements need no escaping: numbers and hex.
class ArrayText {
 public:
  void Add(const absl::AlphaNum& element) {
    absl::StrAppend(&text_, text_.size() > 1 ? ",\"" : "\"", element, "\"");
  }
  bool empty() const { return text_.size() == 1; }
  size_t size_bytes() const { return text_.size(); }

  // The array, which is empty afterwards.
  std::string Take() { return std::exchange(text_, "{") + "}"; }

 private:
  std::string text_ = "{";
};

// The least key that is larger than every key with the prefix; nullopt where there is none.
std::optional<std::string> EndOfPrefix(absl::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (end.empty()) return std::nullopt;
  end.back() = static_cast<char>(end.back() + 1);
  return end;
}

int64_t Signed(uint64_t position) { return static_cast<int64_t>(position); }

}  // namespace

PostgresEventLog::PostgresEventLog(std::shared_ptr<PostgresDatabase> database, std::string stream)
    : database_(std::move(database)), stream_(std::move(stream)) {}

absl::Status PostgresEventLog::TakeLease(const LeaseHolder& holder, absl::Duration duration) {
  const absl::StatusOr<int64_t> token = database_->TakeLease(stream_, holder, duration);
  if (token.ok() && (!token_.has_value() || *token_ == *token)) {
    token_ = *token;
    return absl::OkStatus();
  }
  if (!token.ok() && (!token_.has_value() || !IsLeaseHeldByAnother(token.status()))) {
    return token.status();
  }
  // Another process has, or had, the lease since: what this one knows of the log may be wrong, also
  // where the lease could be taken again.
  token_.reset();
  return absl::AbortedError(absl::StrCat("the lease of stream ", stream_, " was lost: ",
                                         token.ok() ? "it has ended" : token.status().message()));
}

absl::Status PostgresEventLog::Append(uint64_t after, absl::Span<const StoredRecord> records,
                                      absl::Span<const RowChange> rows) {
  if (!token_.has_value()) {
    return absl::AbortedError(absl::StrCat("the lease of stream ", stream_, " is not held"));
  }
  uint64_t next = after + 1;
  for (const StoredRecord& record : records) {
    BERTH_CHECK(record.position == next);
    ++next;
  }
  return database_->Transact(
      [&, token = *token_](PostgresTransaction& transaction) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(const uint64_t newest, CheckLease(transaction, token));
        if (newest != after) {
          return absl::AbortedError(
              absl::StrCat("stream ", stream_, " is at position ", newest, ", not ", after));
        }
        InsertRecords(transaction, records);
        ChangeRows(transaction, rows);
        return absl::OkStatus();
      });
}

absl::StatusOr<bool> PostgresEventLog::EraseThrough(uint64_t through, size_t count_max) {
  if (!token_.has_value()) {
    return absl::AbortedError(absl::StrCat("the lease of stream ", stream_, " is not held"));
  }
  bool more = false;
  BERTH_RETURN_IF_ERROR(
      database_->Transact([&, token = *token_](PostgresTransaction& transaction) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(const uint64_t newest, CheckLease(transaction, token));
        if (newest == 0) return absl::OkStatus();
        const uint64_t last = std::min(through, newest - 1);
        const pqxx::result oldest = transaction.Run(
            "SELECT position FROM berth_record WHERE stream = $1 AND position <= $2 "
            "ORDER BY position LIMIT $3",
            stream_, Signed(last), Signed(std::min(count_max, kEraseCountMax)));
        if (oldest.empty()) return absl::OkStatus();
        const auto end = oldest[oldest.size() - 1][0].as<uint64_t>();
        transaction.Run("DELETE FROM berth_record WHERE stream = $1 AND position <= $2", stream_,
                        Signed(end));
        more = end < last;
        return absl::OkStatus();
      }));
  return more;
}

absl::StatusOr<uint64_t> PostgresEventLog::CheckLease(PostgresTransaction& transaction,
                                                      int64_t token) {
  const pqxx::result lease = transaction.Run(
      "SELECT (SELECT coalesce(max(position), $3) FROM berth_record WHERE stream = $1) "
      "FROM berth_lease WHERE stream = $1 AND token = $2 AND ends_at > clock_timestamp() "
      "FOR UPDATE",
      stream_, token, Signed(begin_after_));
  if (lease.empty()) {
    return absl::AbortedError(absl::StrCat("the lease of stream ", stream_, " is not held"));
  }
  return lease[0][0].as<uint64_t>();
}

void PostgresEventLog::InsertRecords(PostgresTransaction& transaction,
                                     absl::Span<const StoredRecord> records) {
  ArrayText positions;
  ArrayText hashes;
  ArrayText bytes;
  const auto insert = [&] {
    if (positions.empty()) return;
    transaction.Run(
        "INSERT INTO berth_record (stream, position, hash, bytes) "
        "SELECT $1::text, t.position, decode(t.hash, 'hex'), decode(t.bytes, 'hex') "
        "FROM unnest($2::bigint[], $3::text[], $4::text[]) AS t (position, hash, bytes)",
        stream_, positions.Take(), hashes.Take(), bytes.Take());
  };
  for (const StoredRecord& record : records) {
    positions.Add(record.position);
    hashes.Add(HexOf(record.hash));
    bytes.Add(HexOf(record.bytes));
    if (bytes.size_bytes() >= kStatementBytesMax) insert();
  }
  insert();
}

void PostgresEventLog::ChangeRows(PostgresTransaction& transaction,
                                  absl::Span<const RowChange> rows) {
  // One statement may not change a row twice.
  std::map<absl::string_view, const RowChange*> last_by_key;
  for (const RowChange& row : rows) last_by_key[row.key] = &row;

  ArrayText put_keys;
  ArrayText values;
  ArrayText erased_keys;
  const auto put = [&] {
    if (put_keys.empty()) return;
    transaction.Run(
        "INSERT INTO berth_row (stream, key, value) "
        "SELECT $1::text, decode(t.key, 'hex'), decode(t.value, 'hex') "
        "FROM unnest($2::text[], $3::text[]) AS t (key, value) "
        "ON CONFLICT (stream, key) DO UPDATE SET value = excluded.value",
        stream_, put_keys.Take(), values.Take());
  };
  for (const auto& [key, row] : last_by_key) {
    if (!row->value.has_value()) {
      erased_keys.Add(HexOf(key));
      continue;
    }
    put_keys.Add(HexOf(key));
    values.Add(HexOf(*row->value));
    if (values.size_bytes() >= kStatementBytesMax) put();
  }
  put();
  if (!erased_keys.empty()) {
    transaction.Run(
        "DELETE FROM berth_row WHERE stream = $1 AND key IN "
        "(SELECT decode(t.key, 'hex') FROM unnest($2::text[]) AS t (key))",
        stream_, erased_keys.Take());
  }
}

absl::StatusOr<std::vector<StoredRecord>> PostgresEventLog::Read(uint64_t after, size_t count_max) {
  std::vector<StoredRecord> records;
  BERTH_RETURN_IF_ERROR(database_->Transact([&](PostgresTransaction& transaction) -> absl::Status {
    // The sizes first: how many records there are is known before they are, how large is not.
    const pqxx::result sizes = transaction.Run(
        "SELECT position, octet_length(bytes) FROM berth_record "
        "WHERE stream = $1 AND position > $2 ORDER BY position LIMIT $3",
        stream_, Signed(after), Signed(std::min(count_max, kReadCountMax)));
    uint64_t last = after;
    size_t bytes = 0;
    for (const auto& row : sizes) {
      if (bytes >= kReadBytesMax) break;
      last = row[0].as<uint64_t>();
      bytes += row[1].as<size_t>();
    }
    BERTH_ASSIGN_OR_RETURN(records, ReadThrough(transaction, after, last));
    return absl::OkStatus();
  }));
  return records;
}

absl::StatusOr<std::vector<StoredRecord>> PostgresEventLog::ReadThrough(
    PostgresTransaction& transaction, uint64_t after, uint64_t last) {
  std::vector<StoredRecord> records;
  if (last == after) return records;
  const pqxx::result found = transaction.Run(
      "SELECT position, encode(hash, 'hex'), encode(bytes, 'hex') FROM berth_record "
      "WHERE stream = $1 AND position > $2 AND position <= $3 ORDER BY position",
      stream_, Signed(after), Signed(last));
  for (const auto& row : found) {
    const uint64_t expected = after + records.size() + 1;
    records.push_back({row[0].as<uint64_t>(), BytesOf(row[2]), BytesOf(row[1])});
    if (records.back().position != expected) {
      return absl::DataLossError(absl::StrCat("database: stream ", stream_, ", position ", expected,
                                              " is missing; restore a backup"));
    }
  }
  // They were there a moment ago, and were erased since.
  if (records.size() < last - after) {
    return absl::DataLossError(absl::StrCat("database: stream ", stream_, ", position ",
                                            after + records.size() + 1, " is missing"));
  }
  return records;
}

absl::StatusOr<LogReader::Rows> PostgresEventLog::ReadRows() {
  Rows all;
  BERTH_RETURN_IF_ERROR(database_->Transact([&](PostgresTransaction& transaction) {
    all = {};
    // One statement sees one moment, however the database isolates transactions.
    const pqxx::result found = transaction.Run(
        "SELECT p.position, encode(r.key, 'hex'), encode(r.value, 'hex') "
        "FROM (SELECT coalesce(max(position), 0) AS position FROM berth_record WHERE stream = $1) "
        "AS p LEFT JOIN berth_row AS r ON r.stream = $1 ORDER BY r.key",
        stream_);
    for (const auto& row : found) {
      all.position = row[0].as<uint64_t>();
      if (!row[1].is_null()) all.rows.emplace_back(BytesOf(row[1]), BytesOf(row[2]));
    }
    return absl::OkStatus();
  }));
  return all;
}

absl::StatusOr<std::optional<std::string>> PostgresEventLog::GetRow(absl::string_view key) {
  std::optional<std::string> value;
  BERTH_RETURN_IF_ERROR(database_->Transact([&](PostgresTransaction& transaction) {
    const pqxx::result found = transaction.Run(
        "SELECT encode(value, 'hex') FROM berth_row WHERE stream = $1 AND key = decode($2, 'hex')",
        stream_, HexOf(key));
    if (!found.empty()) value = BytesOf(found[0][0]);
    return absl::OkStatus();
  }));
  return value;
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> PostgresEventLog::ListRows(
    absl::string_view prefix) {
  const std::optional<std::string> end = EndOfPrefix(prefix);
  std::vector<std::pair<std::string, std::string>> rows;
  BERTH_RETURN_IF_ERROR(database_->Transact([&](PostgresTransaction& transaction) {
    const pqxx::result found = transaction.Run(
        "SELECT encode(key, 'hex'), encode(value, 'hex') FROM berth_row "
        "WHERE stream = $1 AND key >= decode($2, 'hex') AND ($3 = '' OR key < decode($3, 'hex')) "
        "ORDER BY key",
        stream_, HexOf(prefix), end.has_value() ? HexOf(*end) : "");
    for (const auto& row : found) rows.emplace_back(BytesOf(row[0]), BytesOf(row[1]));
    return absl::OkStatus();
  }));
  return rows;
}

}  // namespace berth
