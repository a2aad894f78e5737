// Every service of Berth in one process, on one port: the embedded default. Composition only; the
// services call each other through the port, over TLS with keys of their own, as separate
// processes do.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock/system_clock.h"
#include "common/crypto/key_ring.h"
#include "common/crypto/machine_identity.h"
#include "common/crypto/secret_bytes.h"
#include "common/daemon/daemon.h"
#include "common/executor/thread_executor.h"
#include "common/ids/random_id_source.h"
#include "common/log/log.h"
#include "common/member/member.h"
#include "common/metrics/metrics_server.h"
#include "common/rpc/server.h"
#include "common/service_process/served_past.h"
#include "common/service_process/service_process.h"
#include "common/status/status_macros.h"
#include "services/auth/service.h"
#include "services/config/service.h"
#include "services/edge_router/service.h"
#include "services/scheduler/hosted_scheduler.h"
#include "services/secrets/service.h"
#include "services/server/server_settings.h"

namespace berth {
namespace {

using Services = std::shared_ptr<rpc::Channel>;

// What a part is given beside what every service has.
struct Given {
  const KeyRing* key_ring;
  scheduler::LivenessPolicy liveness;
};

HostedService MakeConfig(ServiceFoundation* on, const Given&) {
  return HostService(std::make_shared<config::Service>(on->log(), on->executor(), on->clock(),
                                                       on->ids(), on->access()));
}

HostedService MakeScheduler(ServiceFoundation* on, const Given& given) {
  return scheduler::HostScheduler(on, given.liveness);
}

HostedService MakeEdgeRouter(ServiceFoundation* on, const Given&) {
  return HostService(std::make_shared<edge_router::Service>(on->log(), on->executor(), on->clock(),
                                                            on->ids(), on->access()),
                     [](edge_router::Service* service, const Services& services) {
                       service->Follow(services, services);
                     });
}

HostedService MakeSecrets(ServiceFoundation* on, const Given& given) {
  return HostService(std::make_shared<secrets::Service>(secrets::Dependencies{
      on->log(), on->executor(), on->clock(), on->ids(), on->access(), given.key_ring}));
}

// The services beside auth, in the order they are started in.
struct Part {
  const char* name;
  HostedService (*make)(ServiceFoundation*, const Given&);
};
constexpr Part kParts[] = {{"config", MakeConfig},
                           {"scheduler", MakeScheduler},
                           {"edge-router", MakeEdgeRouter},
                           {"secrets", MakeSecrets}};

// A part that runs.
struct Running {
  std::unique_ptr<ServiceFoundation> foundation;
  HostedService service;
  std::optional<Member> member;  // Once the port is open that it joins through.
  std::shared_ptr<void> measured;
};

// The port with auth and all parts on it.
absl::StatusOr<std::unique_ptr<rpc::Server>> Listen(const ServerSettings& settings,
                                                    auth::Service* auth, ServedPast* past,
                                                    const std::vector<Running>& parts) {
  BERTH_ASSIGN_OR_RETURN(const MachineIdentity identity,
                         MachineIdentity::LoadOrCreate(settings.state + "/identity"));
  std::vector<std::string> names = {"auth"};
  std::vector<rpc::Dispatcher*> dispatchers = {&auth->dispatcher(), past->dispatcher()};
  for (const Running& part : parts) {
    names.push_back(part.foundation->name());
    dispatchers.push_back(part.service.dispatcher);
  }
  rpc::Server::Options options;
  options.address = settings.serving.listen;
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> addresses,
                         CertificateAddresses(settings.serving));
  BERTH_ASSIGN_OR_RETURN(options.certificate_pem,
                         auth->IssueCertificate(identity.public_keys().identity, names, addresses));
  BERTH_ASSIGN_OR_RETURN(options.private_key_pem, identity.PrivateKeyPem());
  return rpc::Server::Start(options, dispatchers);
}

absl::Status Serve(const ServerSettings& settings, const std::shared_ptr<auth::Service>& auth,
                   ServedPast* past, std::vector<Running>* parts) {
  BERTH_RETURN_IF_ERROR(StartAndWait("auth", settings.serving.address, HostService(auth)));
  for (const Running& part : *parts) {
    part.service.writer->WhenLeading(
        [foundation = part.foundation.get()] { foundation->LeadsNow(); });
    BERTH_RETURN_IF_ERROR(
        StartAndWait(part.foundation->name(), settings.serving.address, part.service));
  }
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<rpc::Server> server,
                         Listen(settings, auth.get(), past, *parts));
  MemberSettings member;
  BERTH_ASSIGN_OR_RETURN(member.server, OwnAddress(settings.serving, server->port()));
  member.ca_file = settings.state + "/ca.pem";
  for (Running& part : *parts) {
    member.state = part.foundation->folder();
    member.join_token_file = absl::StrCat(settings.state, "/join-tokens/", part.foundation->name());
    BERTH_ASSIGN_OR_RETURN(part.member, Member::Join(member));
    part.foundation->FollowAuth(part.member->services());
    if (part.service.follow != nullptr) part.service.follow(part.member->services());
    part.foundation->Announce(part.member->services(), "", [] { return true; });
  }
  server->SetServing(true);
  LogInfo("berth-server serves",
          {{"address", settings.serving.listen}, {"version", BERTH_VERSION}});
  WaitForStop();
  LogInfo("berth-server stops");
  return absl::OkStatus();
}

absl::Status Run(const ServerSettings& settings) {
  BERTH_RETURN_IF_ERROR(MakeFolder(settings.state));
  Metrics metrics("server");
  BERTH_ASSIGN_OR_RETURN(const MetricsServer http,
                         MetricsServer::Start(settings.serving.http, settings.state, &metrics));
  BERTH_ASSIGN_OR_RETURN(const KeyRing key_ring,
                         KeyRing::LoadOrCreate(settings.state + "/key-ring"));
  std::vector<std::string> names;
  for (const Part& part : kParts) names.push_back(part.name);
  std::vector<std::string> streams = names;
  streams.push_back("auth");
  BERTH_ASSIGN_OR_RETURN(const EventLogs logs,
                         OpenLogs(settings.serving.log, settings.state, streams));

  const SystemClock clock;
  RandomIdSource ids;
  ThreadExecutor auth_executor("auth");
  const auto auth = std::make_shared<auth::Service>(auth::Dependencies{
      logs.at("auth").get(), &auth_executor, &clock, &ids, &key_ring, settings.state, names});
  const std::shared_ptr<void> auth_measured = Measure(&metrics, "auth", HostService(auth));
  std::vector<Running> parts;
  for (const Part& part : kParts) {
    BERTH_ASSIGN_OR_RETURN(
        auto foundation,
        ServiceFoundation::Make(part.name, absl::StrCat(settings.state, "/", part.name),
                                logs.at(part.name).get()));
    HostedService service = part.make(foundation.get(), {&key_ring, settings.liveness});
    std::shared_ptr<void> measured = Measure(&metrics, part.name, service);
    parts.push_back({std::move(foundation), std::move(service), std::nullopt, std::move(measured)});
  }
  std::vector<ServedPast::Named> with_past = {{"auth", HostService(auth)}};
  for (const Running& part : parts) with_past.push_back({part.foundation->name(), part.service});
  ServedPast past(settings.serving.log, settings.state, with_past, &auth->access());
  const absl::Status served = Serve(settings, auth, &past, &parts);
  // The calls have ended with the server, and each that was let in was answered.
  past.Stop();
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) part->foundation->Stop();
  auth_executor.Stop();
  return absl::IsCancelled(served) ? absl::OkStatus() : served;
}

absl::Status Main(int argc, char** argv) {
  BlockStopSignals();
  rpc::PrepareGrpc();
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  BERTH_ASSIGN_OR_RETURN(const std::string path, SettingsPathOf(argc, argv));
  BERTH_ASSIGN_OR_RETURN(const ServerSettings settings, LoadServerSettings(path));
  return Run(settings);
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) { return berth::ExitWith(berth::Main(argc, argv)); }
