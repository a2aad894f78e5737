#include "common/service_process/service_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crypto/secret_bytes.h"
#include "common/daemon/daemon.h"
#include "common/log/log.h"
#include "common/member/member.h"
#include "common/metrics/metrics_server.h"
#include "common/metrics/service_metrics.h"
#include "common/service_process/served_past.h"
#include "common/status/status_macros.h"
#include "common/sync/notification.h"

namespace berth {
namespace {

// How long a stop may go unnoticed while a service waits for its log.
constexpr absl::Duration kStopNoticedWithin = absl::Milliseconds(500);

absl::Status Serve(const ServiceSettings& settings, const rpc::Server::Options& options,
                   const std::shared_ptr<rpc::Channel>& services, const HostedService& service,
                   ServedPast* past, ServiceFoundation* foundation) {
  // Whoever leads is where the service is found, from each take-over on.
  service.writer->WhenLeading([foundation, services, writer = service.writer,
                               address = settings.serving.AnnouncedAddress()] {
    foundation->Announce(services, address, [writer] { return writer->Leading().ok(); });
  });
  BERTH_RETURN_IF_ERROR(StartAndWait(foundation->name(), settings.serving.address, service));
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<rpc::Server> server,
                         rpc::Server::Start(options, {service.dispatcher, past->dispatcher()}));
  foundation->FollowAuth(services);
  if (service.follow != nullptr) service.follow(services);
  server->SetServing(true);
  const std::string program = absl::StrCat("berth-", foundation->name());
  LogInfo(program + " serves", {{"address", settings.serving.address}, {"version", BERTH_VERSION}});
  WaitForStop();
  LogInfo(program + " stops");
  return absl::OkStatus();
}

absl::Status Run(const ServiceProgram& program, const ServiceSettings& settings) {
  const std::string& name = program.name;
  BERTH_RETURN_IF_ERROR(MakeFolder(settings.member.state));
  Metrics metrics(name);
  BERTH_ASSIGN_OR_RETURN(
      const MetricsServer http,
      MetricsServer::Start(settings.serving.http, settings.member.state, &metrics));
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> addresses,
                         CertificateAddresses(settings.serving));
  BERTH_ASSIGN_OR_RETURN(const Member member, Member::Join(settings.member, addresses));
  BERTH_ASSIGN_OR_RETURN(const EventLogs logs,
                         OpenLogs(settings.serving.log, settings.member.state, {name}));
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<ServiceFoundation> foundation,
                         ServiceFoundation::Make(name, settings.member.state, logs.at(name).get()));
  rpc::Server::Options options;
  options.address = settings.serving.listen;
  options.certificate_pem = member.server_certificate();
  BERTH_ASSIGN_OR_RETURN(options.private_key_pem, foundation->identity().PrivateKeyPem());
  BERTH_ASSIGN_OR_RETURN(const HostedService service, program.make(foundation.get()));
  const std::shared_ptr<void> measured = Measure(&metrics, name, service);
  ServedPast past(settings.serving.log, settings.member.state, {{name, service}},
                  foundation->access());
  const absl::Status served =
      Serve(settings, options, member.services(), service, &past, foundation.get());
  // The calls have ended with the server, and each that was let in was answered.
  past.Stop();
  foundation->Stop();
  return absl::IsCancelled(served) ? absl::OkStatus() : served;
}

absl::Status Main(const ServiceProgram& program, int argc, char** argv) {
  BlockStopSignals();
  rpc::PrepareGrpc();
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  BERTH_ASSIGN_OR_RETURN(const std::string path, SettingsPathOf(argc, argv));
  BERTH_ASSIGN_OR_RETURN(const ServiceSettings settings,
                         LoadServiceSettings(path, program.http, program.read_settings));
  return Run(program, settings);
}

}  // namespace

absl::Status StartAndWait(const std::string& name, const std::string& address,
                          const HostedService& service) {
  // Outlives this function: where the process is told to stop first, the service may still answer.
  struct Started {
    Notification done;
    absl::Status status;
  };
  const auto started = std::make_shared<Started>();
  service.start(address, [started](absl::Status status) {
    started->status = std::move(status);
    started->done.Notify();
  });
  while (!started->done.WaitForNotificationWithTimeout(kStopNoticedWithin)) {
    if (WaitForStop(absl::ZeroDuration())) return absl::CancelledError("stopped while starting");
  }
  if (started->status.ok()) return absl::OkStatus();
  return absl::Status(started->status.code(),
                      absl::StrCat(name, ": ", std::string(started->status.message())));
}

std::shared_ptr<void> Measure(Metrics* metrics, const std::string& name,
                              const HostedService& service) {
  struct Measured {
    ServiceMetrics usual;
    std::shared_ptr<void> own;
  };
  return std::shared_ptr<void>(
      new Measured{ServiceMetrics(metrics, name, service.dispatcher, service.writer),
                   service.measure == nullptr ? nullptr : service.measure(metrics)});
}

int ServiceMain(const ServiceProgram& program, int argc, char** argv) {
  return ExitWith(Main(program, argc, argv));
}

}  // namespace berth
