#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/eventlog/lease.h"
#include "common/sync/mutex.h"

namespace berth {

class PostgresTransaction;

// A process's connection to PostgreSQL, or to a database that speaks its protocol, and its lease:
// one for all the streams that it writes, taken and renewed together, so that they always move to
// another process together. Plain SQL only.
//
// Connects when it is first used, and again after a failure: the call that meets the failure is
// kUnavailable, and the next one tries a new connection. The tables are made where there are none;
// a user who may not make tables can run with those that another has made.
//
// Safe to use from any thread: calls stand in line for the one connection, each no longer than the
// timeouts in the .cpp file let it.
class PostgresDatabase {
 public:
  // `connection` is as libpq understands it: "host=… dbname=…" or a postgresql:// URI, several
  // hosts included. Does not connect yet. kInvalidArgument: it cannot be understood.
  static absl::StatusOr<std::shared_ptr<PostgresDatabase>> Create(const std::string& connection,
                                                                  std::vector<std::string> streams);

  // Gives the lease back, if there is a connection to do it through.
  ~PostgresDatabase();
  PostgresDatabase(const PostgresDatabase&) = delete;
  PostgresDatabase& operator=(const PostgresDatabase&) = delete;

  // Takes the lease of all streams, or renews it, and returns the token of `stream`: a number that
  // is larger each time the stream's lease goes to a process that did not have it. LeaseHeldBy:
  // another process holds a stream; who only waits for that writes nothing.
  absl::StatusOr<int64_t> TakeLease(const std::string& stream, const LeaseHolder& holder,
                                    absl::Duration duration) ABSL_LOCKS_EXCLUDED(mutex_);

  // Runs `body` in a transaction and commits it, unless `body` returns an error, which is then this
  // call's. Errors of the database become: kAborted — a key is taken; kResourceExhausted — its disk
  // is full; kDataLoss — its files are damaged; kFailedPrecondition — it does not let this user do
  // that; kUnavailable — everything else. If it was the commit that failed, its outcome is unknown.
  absl::Status Transact(absl::FunctionRef<absl::Status(PostgresTransaction&)> body)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Session;

  PostgresDatabase(std::string connection, std::vector<std::string> streams);

  absl::Status TransactLocked(absl::FunctionRef<absl::Status(PostgresTransaction&)> body)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TransactOn(Session& session,
                          absl::FunctionRef<absl::Status(PostgresTransaction&)> body);
  absl::StatusOr<std::unique_ptr<Session>> Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string connection_;
  const std::vector<std::string> streams_;  // Sorted: two processes take their rows in one order.
  Mutex mutex_;
  std::unique_ptr<Session> session_ ABSL_GUARDED_BY(mutex_);
  // By stream: of the leases taken last, whether or not they still hold.
  std::map<std::string, int64_t> tokens_ ABSL_GUARDED_BY(mutex_);
  bool warned_ ABSL_GUARDED_BY(mutex_) = false;  // That the database may lose what it stored.
};

}  // namespace berth
