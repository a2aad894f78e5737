#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace berth {

// A prepared statement, to be run again and again. Made by SqliteConnection, which outlives it.
// Blobs are bound by reference: they must live until the statement has run.
class SqliteStatement {
 public:
  SqliteStatement() = default;

  // Parameters are counted from 1.
  SqliteStatement& Bind(int parameter, int64_t number);
  SqliteStatement& BindBlob(int parameter, absl::string_view bytes);
  SqliteStatement& BindText(int parameter, absl::string_view text);

  // Moves on to the next row of the result: true when there is one. The columns, counted from 0,
  // are then readable until the next call.
  absl::StatusOr<bool> Step();

  int64_t Number(int column) const;
  std::string Bytes(int column) const;

  // Runs a statement that has no result.
  absl::Status Run();

  // Frees what a result that was not read to its end holds on to, also the read transaction.
  void Reset();

 private:
  friend class SqliteConnection;

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// A connection to a SQLite file, for one thread at a time. It adds to SQLite's interface: errors as
// statuses, which name the file, and one rule: a failed fsync(2) ends the process. What the kernel
// could not write is marked clean afterwards, so that trying again succeeds without writing it;
// only reading the file anew tells what is there.
//
// Errors: kResourceExhausted — the disk is full; kDataLoss — the file is damaged or is none of
// SQLite's; kAborted — a constraint of the schema does not hold; kUnavailable — everything else
// that may pass (I/O errors, another program's lock).
class SqliteConnection {
 public:
  // Opens a file that exists. `vfs` names a VFS that was registered with SQLite; empty: SQLite's.
  static absl::StatusOr<SqliteConnection> Open(const std::string& path, const std::string& vfs);

  absl::StatusOr<SqliteStatement> Prepare(absl::string_view sql);

  // Runs statements that have no result.
  absl::Status Run(absl::string_view sql);

  // The first column of the first row: a number, or a text.
  absl::StatusOr<int64_t> QueryNumber(absl::string_view sql);
  absl::StatusOr<std::string> QueryText(absl::string_view sql);

  // Ends the transaction if one is open, undoing it.
  void Rollback();

  // Rows that the last statement inserted, changed or erased.
  int rows_changed() const;

  // How much of the write-ahead log a checkpoint copies into the database file.
  enum class Checkpoint {
    kPassive,      // What no reader holds up.
    kTryTruncate,  // All of it, and the log is empty afterwards; kUnavailable: a reader is there.
    kTruncate,     // The same, but waits a moment for readers.
  };
  absl::Status CheckpointLog(Checkpoint checkpoint);

  // Pages in the write-ahead log after the last commit.
  int log_pages() const { return *log_pages_; }

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  explicit SqliteConnection(sqlite3* connection) : connection_(connection) {}

  std::unique_ptr<sqlite3, Close> connection_;
  // On the heap, because SQLite's hook keeps its address.
  std::unique_ptr<int> log_pages_ = std::make_unique<int>(0);
};

}  // namespace berth
