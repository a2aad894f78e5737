// The host agent: settings → membership → driver and network → loop → wait.

#include <malloc.h>

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/agent.h"
#include "agent/agent_metrics.h"
#include "agent/health/prober.h"
#include "agent/host_facts.h"
#include "agent/log_relay.h"
#include "agent/network/bridge.h"
#include "agent/runtime/measured_driver.h"
#include "agent/runtime/podman/podman_driver.h"
#include "agent/secrets/bundle_store.h"
#include "agent/secrets/instance_secrets.h"
#include "agent/secrets/secrets_mount.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/clock/system_clock.h"
#include "common/crypto/hash.h"
#include "common/crypto/secret_bytes.h"
#include "common/daemon/daemon.h"
#include "common/executor/thread_executor.h"
#include "common/ids/random_id_source.h"
#include "common/log/log.h"
#include "common/member/member.h"
#include "common/metrics/metrics_server.h"
#include "common/net/ipv6_text.h"
#include "common/rpc/membership.h"
#include "common/rpc/server.h"
#include "common/rpc/subscription.h"
#include "common/settings/settings.h"
#include "common/status/status_macros.h"

namespace berth::agent {
namespace {

constexpr int kWorkers = 4;
constexpr int kCheckers = 4;
constexpr int kHeaps = 2;
constexpr size_t kPlatformPrefixBytes = 6;
constexpr absl::Duration kRetryDelay = absl::Seconds(2);
constexpr absl::Duration kAskKeyMax = absl::Seconds(5);

struct AgentSettings {
  MemberSettings member;
  std::string network = "berth";
  std::string http = kAgentHttp;
  PodmanServiceSettings podman;
};

absl::StatusOr<AgentSettings> LoadSettings(const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadSettingsFile(path));
  AgentSettings settings;
  SettingsReader reader(text, path);
  ReadMemberSettings(&reader, &settings.member);
  reader.Optional("network", &settings.network);
  reader.Optional("http", &settings.http);
  settings.podman.state_folder = settings.member.state + "/podman";
  settings.podman.socket_path = settings.podman.state_folder + "/podman.sock";
  SettingsReader& podman = reader.Section("podman");
  podman.Optional("program", &settings.podman.program);
  podman.Optional("arguments", &settings.podman.arguments);
  podman.Optional("socket", &settings.podman.socket_path);
  podman.Optional("containers_conf", &settings.podman.containers_conf);
  BERTH_RETURN_IF_ERROR(reader.Finish());
  return settings;
}

// The host's /64 and the platform's /48 around it, as text.
HostPrefix PrefixOf(const auth::v1::Machine& machine) {
  HostPrefix prefix;
  prefix.ipv6 = Ipv6NetworkText(machine.prefix());
  prefix.platform_ipv6 = Ipv6NetworkText(machine.prefix().substr(0, kPlatformPrefixBytes));
  return prefix;
}

// Whose instances these are, as the driver labels them: a host's name alone would let two platforms
// on one machine take each other's for their own, and destroy them.
std::string OwnerOf(const auth::v1::Machine& machine) {
  constexpr size_t kKeyBytesShown = 8;
  return absl::StrCat(machine.name(), "-",
                      HexEncode(machine.keys().identity().substr(0, kKeyBytesShown)));
}

std::set<std::string> InstancesOf(const WatchClient& desired) {
  std::set<std::string> instances;
  for (const auto& [key, value] : desired.entries()) {
    scheduler::v1::Assignment assignment;
    if (assignment.ParseFromString(value)) instances.insert(assignment.instance());
  }
  return instances;
}

// Answers with the key that auth knows the scheduler by, or how that fails.
void AskSchedulerKey(rpc::Channel* services,
                     std::function<void(absl::StatusOr<std::string>)> answer) {
  rpc::CallOptions options;
  options.deadline = kAskKeyMax;
  services->CallAsync<auth::v1::ListServicesResponse>(
      auth::v1::ListServicesRequest(), options,
      [answer = std::move(answer)](const absl::StatusOr<auth::v1::ListServicesResponse>& listed) {
        if (!listed.ok()) return answer(listed.status());
        for (const auth::v1::ServiceAddress& service : listed->services()) {
          if (service.service() == "scheduler") return answer(service.identity());
        }
        answer(absl::NotFoundError("there is no scheduler"));
      });
}

// Tells the loop of what the driver tells of, again and again until `stop`.
void WatchEvents(Driver* driver, Agent* agent, Executor* loop, Executor* own,
                 std::stop_token stop) {
  const absl::Status status = driver->WatchEvents(
      stop,
      {.on_watching = [&] { loop->Post([agent] { agent->EventsWatched(); }); },
       .on_exit =
           [&](const InstanceExit& exit) {
             loop->Post([agent, instance = exit.instance_id] { agent->InstanceExited(instance); });
           },
       .on_images_changed = [&] { loop->Post([agent] { agent->ImagesChanged(); }); }});
  if (stop.stop_requested()) return;
  LogWarning("the watch for the driver's events ended and is begun again",
             {{"why", status.message()}});
  own->PostAfter(kRetryDelay, [=] { WatchEvents(driver, agent, loop, own, stop); });
}

absl::Status Run(const AgentSettings& settings) {
  BERTH_RETURN_IF_ERROR(MakeFolder(settings.member.state));
  Metrics metrics("agent");
  BERTH_ASSIGN_OR_RETURN(const MetricsServer http,
                         MetricsServer::Start(settings.http, settings.member.state, &metrics));
  BERTH_ASSIGN_OR_RETURN(const Member member, Member::Join(settings.member));
  const std::shared_ptr<rpc::Channel>& channel = member.services();

  const SystemClock clock;
  RandomIdSource ids;
  PodmanDriver driver(settings.podman, OwnerOf(member.machine()), &clock);
  const AgentMetrics agent_metrics(&metrics, &clock);
  MeasuredDriver measured_driver(&driver, &clock, agent_metrics.DriverCalls());
  Bridge network(settings.podman, settings.network);
  const WatchCache cache(settings.member.state + "/desired");
  BERTH_ASSIGN_OR_RETURN(const WatchClient cached, cache.Load());

  ThreadExecutor loop("loop");
  std::vector<std::unique_ptr<ThreadExecutor>> workers;
  Dependencies dependencies;
  for (int i = 0; i < kWorkers; ++i) {
    workers.push_back(std::make_unique<ThreadExecutor>(absl::StrCat("worker-", i)));
    dependencies.workers.push_back(workers.back().get());
  }
  for (int i = 0; i < kCheckers; ++i) {
    workers.push_back(std::make_unique<ThreadExecutor>(absl::StrCat("checker-", i)));
    dependencies.checkers.push_back(workers.back().get());
  }
  dependencies.driver = &measured_driver;
  dependencies.loop = &loop;
  dependencies.clock = &clock;
  dependencies.cache = &cache;
  dependencies.network = network.name();
  workers.push_back(std::make_unique<ThreadExecutor>("check-deadlines"));
  dependencies.run_check = [&measured_driver,
                            deadlines = workers.back().get()](const CheckRequest& request) {
    return RunCheck(request.check, {request.handle, request.address}, request.timeout,
                    measured_driver, deadlines);
  };
  dependencies.attached = [&network] {
    const absl::Status kept = network.KeepHardwareAddress();
    // Gone again: what was attached has ended already.
    if (kept.ok() || absl::IsNotFound(kept)) return;
    LogWarning("instances may lose their way out for a while", {{"why", kept.message()}});
  };
  // Made once, and tried again with every look at the host until it is there.
  auto network_made = std::make_shared<std::atomic<bool>>(false);
  dependencies.collect_facts = [&measured_driver, &network, network_made,
                                attached = dependencies.attached,
                                prefix = PrefixOf(member.machine())] {
    scheduler::v1::HostFacts facts = CollectHostFacts(&measured_driver);
    if (!*network_made) {
      const absl::Status status = network.EnsureNetwork(prefix);
      *network_made = status.ok();
      attached();  // What runs already.
      if (!status.ok()) facts.add_problems(std::string(status.message()));
    }
    return facts;
  };
  dependencies.send_report = [channel](const scheduler::v1::ReportRequest& report,
                                       std::function<void(absl::Status)> done) {
    channel->CallAsync<scheduler::v1::ReportResponse>(
        report, {}, [done](absl::StatusOr<scheduler::v1::ReportResponse> response) {
          done(response.status());
        });
  };
  BundleStore bundles(settings.member.state + "/bundles");
  SecretsMount secrets_mount(SecretsMount::DefaultFolder(OwnerOf(member.machine())));
  InstanceSecrets secrets(member.machine().name(), &member.identity().sealing_key(), &bundles,
                          &secrets_mount, [channel](const secrets::v1::SignedSecretGrant& grant) {
                            secrets::v1::GetBundleRequest request;
                            *request.mutable_grant() = grant;
                            return channel->Call<secrets::v1::GetBundleResponse>(request);
                          });
  // What is not desired any more went while no agent ran. Nothing desired is known of a new host.
  if (cached.revision().has_value()) {
    BERTH_RETURN_IF_ERROR(secrets.KeepOnly(InstancesOf(cached)));
  }
  dependencies.prepare_secrets = [&secrets](const scheduler::v1::Assignment& assignment) {
    return secrets.Prepare(assignment);
  };
  dependencies.forget_secrets = [&secrets](const std::string& instance) {
    return secrets.Forget(instance);
  };
  agent_metrics.MeasureReportsAndChecks(&dependencies);
  Agent agent(dependencies);
  const auto handle_of = [&agent](const std::string& instance) { return agent.HandleOf(instance); };
  ExecSessions execs({member.machine().name(), &driver, &loop, &clock, handle_of,
                      [channel](std::function<void(absl::StatusOr<std::string>)> answer) {
                        AskSchedulerKey(channel.get(), std::move(answer));
                      }});
  LogRelay relay(channel, &driver, &execs, &loop, handle_of);
  std::unique_ptr<rpc::Subscription> desired;
  loop.Post([&] {
    agent.Start(cached);
    desired = std::make_unique<rpc::Subscription>(
        "desired state", rpc::Subscription::Over<scheduler::v1::WatchHostRequest>(channel), cached,
        &loop, &ids, [&agent, &desired](const WatchClient::Update& update) {
          agent.DesiredChanged(desired->client(), update);
        });
    desired->Start();
    relay.Connect();
  });
  const Metrics::Registration seen = agent_metrics.AddAgent(&agent, &loop);
  const Metrics::Registration ready = agent_metrics.AddReadyCheck(&agent, &loop);
  ThreadExecutor events("events");
  std::stop_source stop;
  events.Post(
      [&, token = stop.get_token()] { WatchEvents(&driver, &agent, &loop, &events, token); });

  LogInfo("berth-agent runs", {{"host", member.machine().name()},
                               {"key", KeyFingerprint(member.identity().public_keys().identity)},
                               {"version", BERTH_VERSION}});
  WaitForStop();
  LogInfo("berth-agent stops; instances keep running");
  stop.request_stop();
  events.Stop();
  loop.Stop();
  for (const auto& worker : workers) worker->Stop();
  return absl::OkStatus();
}

// Removes every instance of this host, the network and the Podman service: for a host that leaves.
absl::Status Purge(const AgentSettings& settings) {
  const SystemClock clock;
  const absl::StatusOr<auth::v1::EnrolResponse> member = rpc::LoadMembership(settings.member.state);
  // It never joined, so it made nothing.
  if (absl::IsNotFound(member.status())) return absl::OkStatus();
  if (!member.ok()) return member.status();
  PodmanDriver driver(settings.podman, OwnerOf(member->machine()), &clock);
  BERTH_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> instances, driver.List());
  for (const InstanceRecord& instance : instances) {
    BERTH_RETURN_IF_ERROR(driver.Destroy(instance.handle));
  }
  BERTH_RETURN_IF_ERROR(
      SecretsMount(SecretsMount::DefaultFolder(OwnerOf(member->machine()))).Unmount());
  BERTH_RETURN_IF_ERROR(Bridge(settings.podman, settings.network).Remove());
  return PodmanService(settings.podman).Stop();
}

absl::Status Main(int argc, char** argv) {
  BlockStopSignals();
  // Its threads wait nearly all the time; a heap for each would hold what none of them needs.
  mallopt(M_ARENA_MAX, kHeaps);
  rpc::PrepareGrpc();
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  // `--purge` after the settings: undo what this agent made on the machine.
  const bool purge = argc == 4 && absl::string_view(argv[3]) == "--purge";
  BERTH_ASSIGN_OR_RETURN(const std::string path, SettingsPathOf(purge ? 3 : argc, argv));
  BERTH_ASSIGN_OR_RETURN(const AgentSettings settings, LoadSettings(path));
  return purge ? Purge(settings) : Run(settings);
}

}  // namespace
}  // namespace berth::agent

int main(int argc, char** argv) { return berth::ExitWith(berth::agent::Main(argc, argv)); }
