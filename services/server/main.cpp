// Every service of Berth in one process, on one port: the embedded default. Composition only; the
// services call each other through the port, over TLS with keys of their own, as separate
// processes do.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
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
#include "services/auth/service.h"
#include "services/config/service.h"
#include "services/scheduler/service.h"

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
  absl::Notification done;
  absl::Status result;
  service->Start([&](absl::Status status) {
    result = std::move(status);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

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

  const SystemClock clock;
  RandomIdSource ids;
  ThreadExecutor auth_executor("auth");
  ThreadExecutor config_executor("config");
  ThreadExecutor scheduler_executor("scheduler");
  auth::Service auth({auth_log.get(), &auth_executor, &clock, &ids, &key_ring, settings.state,
                      {"scheduler"}});
  config::Service config(config_log.get(), &config_executor, &clock, &ids, &auth.access());
  scheduler::Service scheduler(scheduler_log.get(), &scheduler_executor, &clock, &ids,
                               &auth.access());
  BERTH_RETURN_IF_ERROR(StartAndWait(&auth));
  BERTH_RETURN_IF_ERROR(StartAndWait(&config));
  BERTH_RETURN_IF_ERROR(StartAndWait(&scheduler));

  rpc::Server::Options options;
  options.address = settings.listen;
  std::vector<std::string> addresses = settings.addresses;
  addresses.push_back(listen.host.empty() ? "localhost" : listen.host);
  BERTH_ASSIGN_OR_RETURN(options.certificate_pem,
                         auth.IssueCertificate(identity.public_keys().identity,
                                               {"auth", "config", "scheduler"}, addresses));
  BERTH_ASSIGN_OR_RETURN(options.private_key_pem, identity.PrivateKeyPem());
  BERTH_ASSIGN_OR_RETURN(
      std::unique_ptr<rpc::Server> server,
      rpc::Server::Start(options, {&auth.dispatcher(), &config.dispatcher(),
                                   &scheduler.dispatcher()}));

  const std::string own_address = absl::StrCat("127.0.0.1:", server->port());
  const std::string scheduler_folder = settings.state + "/scheduler";
  BERTH_RETURN_IF_ERROR(MakeFolder(scheduler_folder));
  BERTH_ASSIGN_OR_RETURN(const MachineIdentity scheduler_identity,
                         MachineIdentity::LoadOrCreate(scheduler_folder + "/identity"));
  rpc::JoinOptions join;
  join.folder = scheduler_folder;
  join.auth_address = own_address;
  join.ca_pem = auth.ca_certificate();
  join.join_token_file = settings.state + "/join-tokens/scheduler";
  BERTH_RETURN_IF_ERROR(rpc::LoadOrJoin(scheduler_identity, join).status());
  BERTH_ASSIGN_OR_RETURN(rpc::ChannelOptions channel,
                         rpc::MachineChannel(scheduler_identity, "service/scheduler", own_address,
                                             auth.ca_certificate()));
  const std::shared_ptr<rpc::Channel> to_auth = rpc::Channel::Open(channel);
  channel.service = "config";
  const std::shared_ptr<rpc::Channel> to_config = rpc::Channel::Open(channel);
  scheduler.Follow(to_config, to_auth);

  server->SetServing(true);
  LogInfo("berth-server serves", {{"address", settings.listen}, {"version", BERTH_VERSION}});
  WaitForStop();
  LogInfo("berth-server stops");
  // The calls first: each that was let in is answered by a service that still runs.
  server.reset();
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
