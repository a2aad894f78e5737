// berth-auth in a process of its own: the one that the others join.

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/clock/system_clock.h"
#include "common/crypto/key_ring.h"
#include "common/crypto/machine_identity.h"
#include "common/crypto/secret_bytes.h"
#include "common/daemon/daemon.h"
#include "common/executor/thread_executor.h"
#include "common/ids/random_id_source.h"
#include "common/log/log.h"
#include "common/metrics/metrics_server.h"
#include "common/rpc/server.h"
#include "common/service_process/served_past.h"
#include "common/service_process/service_process.h"
#include "common/status/status_macros.h"
#include "services/auth/service.h"

namespace berth::auth {
namespace {

struct AuthSettings {
  ServingSettings serving;
  std::string state;  // The folder everything is kept in.
};

absl::StatusOr<AuthSettings> LoadSettings(const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadSettingsFile(path));
  AuthSettings settings;
  SettingsReader reader(text, path);
  reader.Required("state", &settings.state);
  settings.serving.http = kAuthHttp;
  ReadServingSettings(&reader, &settings.serving);
  BERTH_RETURN_IF_ERROR(reader.Finish());
  return settings;
}

absl::Status Serve(const AuthSettings& settings, const MachineIdentity& identity,
                   const std::shared_ptr<Service>& service, ServedPast* past) {
  BERTH_RETURN_IF_ERROR(StartAndWait("auth", settings.serving.address, HostService(service)));
  rpc::Server::Options options;
  options.address = settings.serving.listen;
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> addresses,
                         CertificateAddresses(settings.serving));
  BERTH_ASSIGN_OR_RETURN(
      options.certificate_pem,
      service->IssueCertificate(identity.public_keys().identity, {"auth"}, addresses));
  BERTH_ASSIGN_OR_RETURN(options.private_key_pem, identity.PrivateKeyPem());
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<rpc::Server> server,
                         rpc::Server::Start(options, {&service->dispatcher(), past->dispatcher()}));
  server->SetServing(true);
  LogInfo("berth-auth serves", {{"address", options.address}, {"version", BERTH_VERSION}});
  WaitForStop();
  LogInfo("berth-auth stops");
  return absl::OkStatus();
}

absl::Status Run(const AuthSettings& settings) {
  BERTH_RETURN_IF_ERROR(MakeFolder(settings.state));
  Metrics metrics("auth");
  BERTH_ASSIGN_OR_RETURN(const MetricsServer http,
                         MetricsServer::Start(settings.serving.http, settings.state, &metrics));
  BERTH_ASSIGN_OR_RETURN(const KeyRing key_ring,
                         KeyRing::LoadOrCreate(settings.state + "/key-ring"));
  BERTH_ASSIGN_OR_RETURN(const MachineIdentity identity,
                         MachineIdentity::LoadOrCreate(settings.state + "/identity"));
  BERTH_ASSIGN_OR_RETURN(const EventLogs logs,
                         OpenLogs(settings.serving.log, settings.state, {"auth"}));
  const SystemClock clock;
  RandomIdSource ids;
  ThreadExecutor executor("auth");
  const auto service = std::make_shared<Service>(
      Dependencies{logs.at("auth").get(),
                   &executor,
                   &clock,
                   &ids,
                   &key_ring,
                   settings.state,
                   {std::begin(rpc::kServicesBesideAuth), std::end(rpc::kServicesBesideAuth)}});
  const std::shared_ptr<void> measured = Measure(&metrics, "auth", HostService(service));
  ServedPast past(settings.serving.log, settings.state, {{"auth", HostService(service)}},
                  &service->access());
  const absl::Status served = Serve(settings, identity, service, &past);
  // The calls have ended with the server, and each that was let in was answered.
  past.Stop();
  executor.Stop();
  return absl::IsCancelled(served) ? absl::OkStatus() : served;
}

absl::Status Main(int argc, char** argv) {
  BlockStopSignals();
  rpc::PrepareGrpc();
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  BERTH_ASSIGN_OR_RETURN(const std::string path, SettingsPathOf(argc, argv));
  BERTH_ASSIGN_OR_RETURN(const AuthSettings settings, LoadSettings(path));
  return Run(settings);
}

}  // namespace
}  // namespace berth::auth

int main(int argc, char** argv) { return berth::ExitWith(berth::auth::Main(argc, argv)); }
