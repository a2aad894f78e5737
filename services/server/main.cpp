// Every service of Berth in one process, on one port: the embedded default. Composition only; the
// services call each other through the port, over TLS with keys of their own, as separate
// processes do.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock/system_clock.h"
#include "common/crypto/key_ring.h"
#include "common/crypto/machine_identity.h"
#include "common/crypto/secret_bytes.h"
#include "common/daemon/daemon.h"
#include "common/eventlog/sqlite_event_log.h"
#include "common/executor/thread_executor.h"
#include "common/ids/random_id_source.h"
#include "common/log/log.h"
#include "common/net/socket_address.h"
#include "common/rpc/membership.h"
#include "common/rpc/server.h"
#include "common/settings/settings.h"
#include "common/status/status_macros.h"
#include "common/sync/notification.h"
#include "services/auth/service.h"
#include "services/config/service.h"
#include "services/edge_router/service.h"
#include "services/scheduler/service.h"
#include "services/secrets/service.h"

namespace berth {
namespace {

struct ServerSettings {
  std::string listen = "127.0.0.1:7443";
  std::string state;                   // The folder everything is kept in.
  std::vector<std::string> addresses;  // Further names and addresses clients reach it by.
};

absl::StatusOr<ServerSettings> LoadSettings(const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadSettingsFile(path));
  ServerSettings settings;
  SettingsReader reader(text, path);
  reader.Optional("listen", &settings.listen);
  reader.Required("state", &settings.state);
  reader.Optional("addresses", &settings.addresses);
  BERTH_RETURN_IF_ERROR(reader.Finish());
  return settings;
}

// Waits until a service that starts on its executor says that it serves.
template <typename Service>
absl::Status StartAndWait(Service* service) {
  Notification done;
  absl::Status result;
  service->Start([&](absl::Status status) {
    result = std::move(status);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

// A service that calls the others: a member of the platform, with keys of its own.
class ServiceMember {
 public:
  static absl::StatusOr<ServiceMember> Join(const std::string& name, const std::string& state,
                                            const std::string& address, const std::string& ca_pem) {
    rpc::JoinOptions join;
    join.folder = absl::StrCat(state, "/", name);
    join.auth_address = address;
    join.ca_pem = ca_pem;
    join.join_token_file = absl::StrCat(state, "/join-tokens/", name);
    BERTH_RETURN_IF_ERROR(MakeFolder(join.folder));
    BERTH_ASSIGN_OR_RETURN(MachineIdentity identity,
                           MachineIdentity::LoadOrCreate(join.folder + "/identity"));
    BERTH_RETURN_IF_ERROR(rpc::LoadOrJoin(identity, join).status());
    BERTH_ASSIGN_OR_RETURN(
        rpc::ChannelOptions options,
        rpc::MachineChannel(identity, absl::StrCat("service/", name), address, ca_pem));
    return ServiceMember(std::move(identity), std::move(options));
  }

  std::shared_ptr<rpc::Channel> ChannelTo(const std::string& service) const {
    rpc::ChannelOptions options = options_;
    options.service = service;
    return rpc::Channel::Open(options);
  }

  const SigningKey& signing_key() const { return identity_.signing_key(); }

 private:
  ServiceMember(MachineIdentity identity, rpc::ChannelOptions options)
      : identity_(std::move(identity)), options_(std::move(options)) {}

  MachineIdentity identity_;
  rpc::ChannelOptions options_;
};

absl::Status Run(const ServerSettings& settings) {
  BERTH_RETURN_IF_ERROR(MakeFolder(settings.state));
  BERTH_ASSIGN_OR_RETURN(const KeyRing key_ring,
                         KeyRing::LoadOrCreate(settings.state + "/key-ring"));
  BERTH_ASSIGN_OR_RETURN(const MachineIdentity identity,
                         MachineIdentity::LoadOrCreate(settings.state + "/identity"));
  BERTH_ASSIGN_OR_RETURN(const HostPort listen, ParseHostPort(settings.listen));
  BERTH_ASSIGN_OR_RETURN(const auto auth_log,
                         SqliteEventLog::Open(settings.state + "/auth.db", "auth"));
  BERTH_ASSIGN_OR_RETURN(const auto config_log,
                         SqliteEventLog::Open(settings.state + "/config.db", "config"));
  BERTH_ASSIGN_OR_RETURN(const auto scheduler_log,
                         SqliteEventLog::Open(settings.state + "/scheduler.db", "scheduler"));
  BERTH_ASSIGN_OR_RETURN(const auto edge_router_log,
                         SqliteEventLog::Open(settings.state + "/edge-router.db", "edge-router"));
  BERTH_ASSIGN_OR_RETURN(const auto secrets_log,
                         SqliteEventLog::Open(settings.state + "/secrets.db", "secrets"));

  const SystemClock clock;
  RandomIdSource ids;
  ThreadExecutor auth_executor("auth");
  ThreadExecutor config_executor("config");
  ThreadExecutor scheduler_executor("scheduler");
  ThreadExecutor edge_router_executor("edge-router");
  ThreadExecutor secrets_executor("secrets");
  auth::Service auth({auth_log.get(),
                      &auth_executor,
                      &clock,
                      &ids,
                      &key_ring,
                      settings.state,
                      {"scheduler", "edge-router"}});
  config::Service config(config_log.get(), &config_executor, &clock, &ids, &auth.access());
  scheduler::Service scheduler(scheduler_log.get(), &scheduler_executor, &clock, &ids,
                               &auth.access());
  edge_router::Service edge_router(edge_router_log.get(), &edge_router_executor, &clock, &ids,
                                   &auth.access());
  secrets::Service secrets(
      {secrets_log.get(), &secrets_executor, &clock, &ids, &auth.access(), &key_ring});
  BERTH_RETURN_IF_ERROR(StartAndWait(&auth));
  BERTH_RETURN_IF_ERROR(StartAndWait(&config));
  BERTH_RETURN_IF_ERROR(StartAndWait(&scheduler));
  BERTH_RETURN_IF_ERROR(StartAndWait(&edge_router));
  BERTH_RETURN_IF_ERROR(StartAndWait(&secrets));

  rpc::Server::Options options;
  options.address = settings.listen;
  std::vector<std::string> addresses = settings.addresses;
  addresses.push_back(listen.host.empty() ? "localhost" : listen.host);
  BERTH_ASSIGN_OR_RETURN(
      options.certificate_pem,
      auth.IssueCertificate(identity.public_keys().identity,
                            {"auth", "config", "scheduler", "edge-router", "secrets"}, addresses));
  BERTH_ASSIGN_OR_RETURN(options.private_key_pem, identity.PrivateKeyPem());
  BERTH_ASSIGN_OR_RETURN(
      std::unique_ptr<rpc::Server> server,
      rpc::Server::Start(options,
                         {&auth.dispatcher(), &config.dispatcher(), &scheduler.dispatcher(),
                          &edge_router.dispatcher(), &secrets.dispatcher()}));

  const std::string own_address = absl::StrCat("127.0.0.1:", server->port());
  BERTH_ASSIGN_OR_RETURN(
      const ServiceMember scheduler_member,
      ServiceMember::Join("scheduler", settings.state, own_address, auth.ca_certificate()));
  scheduler.Follow({.config = scheduler_member.ChannelTo("config"),
                    .auth = scheduler_member.ChannelTo("auth"),
                    .edge_router = scheduler_member.ChannelTo("edge-router"),
                    .secrets = scheduler_member.ChannelTo("secrets"),
                    .grant_key = &scheduler_member.signing_key()});
  BERTH_ASSIGN_OR_RETURN(
      const ServiceMember edge_router_member,
      ServiceMember::Join("edge-router", settings.state, own_address, auth.ca_certificate()));
  edge_router.Follow(edge_router_member.ChannelTo("config"),
                     edge_router_member.ChannelTo("scheduler"));

  server->SetServing(true);
  LogInfo("berth-server serves", {{"address", settings.listen}, {"version", BERTH_VERSION}});
  WaitForStop();
  LogInfo("berth-server stops");
  // The calls first: each that was let in is answered by a service that still runs.
  server.reset();
  secrets_executor.Stop();
  edge_router_executor.Stop();
  scheduler_executor.Stop();
  config_executor.Stop();
  auth_executor.Stop();
  return absl::OkStatus();
}

absl::Status Main(int argc, char** argv) {
  BlockStopSignals();
  rpc::RequireTls13();
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  BERTH_ASSIGN_OR_RETURN(const std::string path, SettingsPathOf(argc, argv));
  BERTH_ASSIGN_OR_RETURN(const ServerSettings settings, LoadSettings(path));
  return Run(settings);
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) { return berth::ExitWith(berth::Main(argc, argv)); }
