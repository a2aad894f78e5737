#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/crypto/key_ring.h"
#include "common/crypto/sealed_box.h"
#include "common/crypto/secret_bytes.h"
#include "common/eventlog/event_sourced.h"
#include "common/rpc/access_view.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/state_dispatcher.h"
#include "common/sync/mutex.h"
#include "services/secrets/state.h"

namespace berth::secrets {

// What a secrets service stands on. Everything outlives it, and the executor is stopped before it
// is destroyed.
struct Dependencies {
  EventLog* log;
  Executor* executor;
  const Clock* clock;
  IdSource* ids;
  rpc::AccessView* access;
  const KeyRing* key_ring;
};

// gRPC glue of berth-secrets: who calls, execute, reply, and the encryption around it. The rules
// are State's.
//
// A value is in plain only in guarded memory, between two seals: a put is opened with the service's
// key and encrypted under a data key before its command queues; a read is decrypted and sealed to
// the reader's key after its record is durable. The service's own keys are rows of the log, wrapped
// by the key ring.
class Service {
 public:
  explicit Service(Dependencies dependencies);

  // Loads the log, and makes the service's keys where it is empty. `started` gets OK once calls can
  // be served, or refused because another process leads; others are led to `address`, HOST:PORT,
  // where this one does.
  void Start(std::string address, std::function<void(absl::Status)> started);

  rpc::Dispatcher& dispatcher() { return dispatcher_; }

  // For who measures it.
  LogWriter& writer() { return state_.writer(); }

 private:
  using Values = std::map<std::string, SecretBytes>;  // By the secret's name.
  struct Keys {
    SealingKey sealing;   // What values are sealed to on their way in.
    SecretBytes digests;  // Keys the digests that tell equal values.
  };

  void AddHandlers();
  void AddQueries();

  void Prepare();
  void Prepared(const absl::Status& status);
  void Started(absl::Status status);
  absl::Status LoadKeys();

  // nullptr until the service leads.
  std::shared_ptr<const Keys> keys() const ABSL_LOCKS_EXCLUDED(mutex_);

  // The value of a put, encrypted. kInvalidArgument: it cannot be opened, or is too large.
  absl::StatusOr<SealedValue> SealAnew(const Keys& keys, const v1::PutSecretRequest& request) const;

  // The grant, if it is the scheduler's and for the caller.
  absl::StatusOr<v1::SecretGrant> CheckGrant(const rpc::Caller& caller,
                                             const v1::SignedSecretGrant& signed_grant) const;

  // Opens versions whose reading is recorded. `opened` is called on the executor. kNotFound: one
  // was deleted meanwhile. kDataLoss: a row is not what was put.
  void OpenValues(const types::v1::EnvironmentName& environment,
                  const std::map<std::string, uint64_t>& versions,
                  std::function<void(absl::StatusOr<Values>)> opened);
  absl::StatusOr<SecretBytes> OpenValue(const StoredVersion& version);

  const Dependencies with_;
  std::function<void(absl::Status)> started_;  // Until it was told. On the executor only.
  EventSourced<State> state_;
  rpc::StateDispatcher<State> dispatcher_;

  // Calls come before the service serves, where another process leads.
  mutable Mutex mutex_;
  std::shared_ptr<const Keys> keys_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::secrets
