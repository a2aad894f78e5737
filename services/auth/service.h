#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/crypto/certificates.h"
#include "common/crypto/key_ring.h"
#include "common/crypto/machine_identity.h"
#include "common/eventlog/event_sourced.h"
#include "common/rpc/access_view.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/state_dispatcher.h"
#include "services/auth/state.h"

namespace berth::auth {

// What an auth service stands on. Everything outlives it, and the executor is stopped before it is
// destroyed.
struct Dependencies {
  EventLog* log;
  Executor* executor;
  const Clock* clock;
  IdSource* ids;
  const KeyRing* key_ring;
  // The service's own folder: here it puts the files bootstrap-token, ca.pem and join-tokens/NAME,
  // which whoever administers the machine hands on.
  std::string folder;
  // The services that get a join token there until they have joined.
  std::vector<std::string> services;
};

// gRPC glue of berth-auth: who calls, execute, reply. The rules are State's.
//
// The platform CA and the key that one-time tokens are derived from are rows of the log, wrapped by
// the key ring. A token is derived from that key, the caller, the method and the request id, so
// that a repeated call gets the same one and none is stored.
class Service {
 public:
  explicit Service(Dependencies dependencies);

  // Loads the log, makes a new platform where it is empty, and writes the files of the folder.
  // `started` gets OK once calls can be served, or refused because another process leads; others
  // are led to `address`, HOST:PORT, where this one does.
  void Start(std::string address, std::function<void(absl::Status)> started);

  rpc::Dispatcher& dispatcher() { return dispatcher_; }

  // For who measures it.
  LogWriter& writer() { return state_.writer(); }

  // The access watch's content, for the gates of this process. Kept current by this service.
  rpc::AccessView& access() { return access_; }

  // A server certificate, and the authority's after it, for the process that this service is part
  // of, which serves `services` under `addresses`. After Start.
  absl::StatusOr<std::string> IssueCertificate(absl::string_view identity_key,
                                               const std::vector<std::string>& services,
                                               const std::vector<std::string>& addresses) const;
  const std::string& ca_certificate() const { return ca_->certificate_pem(); }

 private:
  void AddHandlers();
  // Adds a command whose answer shows a token, made of a secret that is not stored.
  template <typename Request, typename Response>
  void Issue(std::function<void(Response*, const std::string& secret)> show);
  void Begin();
  void StandBy();
  void Prepare();
  void Prepared(const absl::Status& status);
  void Started(absl::Status status);
  absl::Status LoadKeys();
  void CreateServiceJoinTokens(size_t next, std::function<void(absl::Status)> done);
  absl::StatusOr<std::string> ReadOrMakeBootstrapToken() const;
  void ForgetExpiredLater(uint64_t term);
  std::string DeriveSecret(const CommandOrigin& origin) const;

  const Dependencies with_;

  // On the executor only.
  std::function<void(absl::Status)> started_;  // Until it was told.
  bool prepared_ = false;                      // For the term in which this process leads.
  uint64_t terms_ = 0;  // How often it was prepared to lead; what an earlier one left ends.

  rpc::AccessView access_;
  EventSourced<State> state_;
  rpc::StateDispatcher<State> dispatcher_;
  // Set before calls come, and not again.
  std::optional<CertificateAuthority> ca_;
  std::string ca_fingerprint_;
  std::optional<SecretBytes> token_key_;
};

}  // namespace berth::auth
