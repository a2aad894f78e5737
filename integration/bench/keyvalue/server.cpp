// The key-value service in a process of its own, for benchmarks: SQLite log, gate and TLS as in
// Berth's services; whom it lets in is fixed.
//
// Usage: bench_keyvalue_server FOLDER. Leaves ca.pem and token in FOLDER, and prints its port.

#include "common/rpc/server.h"

#include <signal.h>

#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/clock/system_clock.h"
#include "common/crypto/certificates.h"
#include "common/crypto/signature.h"
#include "common/eventlog/sqlite_event_log.h"
#include "common/executor/thread_executor.h"
#include "common/ids/random_id_source.h"
#include "common/rpc/fake_services.h"
#include "common/rpc/state_dispatcher.h"
#include "common/status/status_macros.h"
#include "common/sync/notification.h"
#include "integration/bench/keyvalue/state.h"

namespace berth::keyvalue {
namespace {

constexpr char kServerName[] = "keyvalue.berth.internal";

void LetIn(rpc::AccessView* access, const std::string& folder) {
  const std::string secret(32, 's');
  rpc::SetToken(access, secret, "user/load", absl::Now() + absl::Hours(24));
  access->Set("principal/user/load", rpc::PersonWith("user/load", auth::v1::ROLE_ADMIN));
  access->Advance(1);
  std::ofstream(folder + "/token") << rpc::FormatToken(1, secret);
}

absl::StatusOr<rpc::Server::Options> Certified(const std::string& folder) {
  BERTH_ASSIGN_OR_RETURN(const CertificateAuthority ca, CertificateAuthority::Generate());
  const SigningKey key = SigningKey::Generate();
  rpc::Server::Options options;
  options.address = "127.0.0.1:0";
  BERTH_ASSIGN_OR_RETURN(options.certificate_pem,
                         ca.IssueServerCertificate(key.public_key(), {kServerName}, {"127.0.0.1"}));
  BERTH_ASSIGN_OR_RETURN(options.private_key_pem, PrivateKeyPem(key));
  std::ofstream(folder + "/ca.pem") << ca.certificate_pem();
  return options;
}

absl::Status Serve(const std::string& folder) {
  rpc::PrepareGrpc();
  const SystemClock clock;
  RandomIdSource ids;
  rpc::AccessView access;
  LetIn(&access, folder);
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<SqliteEventLog> log,
                         SqliteEventLog::Open(folder + "/keyvalue.db", "keyvalue"));
  ThreadExecutor executor("keyvalue");
  EventSourced<State> state("keyvalue", LogWriter::Limits(), log.get(), &executor, &clock, &ids);
  rpc::StateDispatcher<State> dispatcher(v1::PutRequest::descriptor()->file()->service(0), &state,
                                         &access, &executor, &clock);
  dispatcher.Command<v1::PutRequest, v1::PutResponse>();
  dispatcher.Watch<v1::WatchRequest>(State::kTopic);
  Notification started;
  absl::Status status;
  state.Start({"bench"}, [&](absl::Status leads) {
    status = std::move(leads);
    started.Notify();
  });
  started.WaitForNotification();
  BERTH_RETURN_IF_ERROR(status);

  BERTH_ASSIGN_OR_RETURN(const rpc::Server::Options options, Certified(folder));
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<rpc::Server> server,
                         rpc::Server::Start(options, {&dispatcher}));
  server->SetServing(true);
  std::cout << server->port() << std::endl;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  int signal = 0;
  sigwait(&signals, &signal);
  server.reset();
  executor.Stop();
  return absl::OkStatus();
}

}  // namespace
}  // namespace berth::keyvalue

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: bench_keyvalue_server FOLDER\n";
    return 2;
  }
  // Before any thread, so that all of them leave it to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const absl::Status status = berth::keyvalue::Serve(argv[1]);
  if (status.ok()) return 0;
  std::cerr << status.ToString() << "\n";
  return 1;
}
