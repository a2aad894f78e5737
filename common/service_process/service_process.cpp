#include "common/service_process/service_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crypto/secret_bytes.h"
#include "common/daemon/daemon.h"
#include "common/log/log.h"
#include "common/member/member.h"
#include "common/status/status_macros.h"
#include "common/sync/notification.h"

namespace berth {
namespace {

// How long a stop may go unnoticed while a service waits for its log.
constexpr absl::Duration kStopNoticedWithin = absl::Milliseconds(500);

absl::Status Serve(const ServiceSettings& settings, const rpc::Server::Options& options,
                   const std::shared_ptr<rpc::Channel>& services, const HostedService& service,
                   ServiceFoundation* foundation) {
  BERTH_RETURN_IF_ERROR(StartAndWait(foundation->name(), service));
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<rpc::Server> server,
                         rpc::Server::Start(options, {service.dispatcher}));
  foundation->FollowAuth(services);
  if (service.follow != nullptr) service.follow(services);
  foundation->Announce(services, settings.address);
  server->SetServing(true);
  const std::string program = absl::StrCat("berth-", foundation->name());
  LogInfo(program + " serves", {{"address", settings.address}, {"version", BERTH_VERSION}});
  WaitForStop();
  LogInfo(program + " stops");
  return absl::OkStatus();
}

absl::Status Run(const std::string& name, const ServiceSettings& settings,
                 const MakeService& make) {
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
  BERTH_ASSIGN_OR_RETURN(const HostedService service, make(foundation.get()));
  const absl::Status served =
      Serve(settings, options, member.services(), service, foundation.get());
  // The calls have ended with the server, and each that was let in was answered.
  foundation->Stop();
  return absl::IsCancelled(served) ? absl::OkStatus() : served;
}

absl::Status Main(const std::string& name, int argc, char** argv, const MakeService& make) {
  BlockStopSignals();
  rpc::RequireTls13();
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  BERTH_ASSIGN_OR_RETURN(const std::string path, SettingsPathOf(argc, argv));
  BERTH_ASSIGN_OR_RETURN(const ServiceSettings settings, LoadServiceSettings(path));
  return Run(name, settings, make);
}

}  // namespace

absl::Status StartAndWait(const std::string& name, const HostedService& service) {
  // Outlives this function: where the process is told to stop first, the service may still answer.
  struct Started {
    Notification done;
    absl::Status status;
  };
  const auto started = std::make_shared<Started>();
  service.start([started](absl::Status status) {
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

int ServiceMain(const std::string& name, int argc, char** argv, const MakeService& make) {
  return ExitWith(Main(name, argc, argv, make));
}

}  // namespace berth
