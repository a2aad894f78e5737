#pragma once

// A fleet in memory for tests of the scheduler's rules: State and Reconcile as the service drives
// them, hosts whose agents do what they are told, and config's part in a rollout. On virtual time.

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/crypto/signature.h"
#include "common/ids/names.h"
#include "common/ids/sequential_id_source.h"
#include "common/testing/scenario.h"
#include "services/scheduler/explain.h"
#include "services/scheduler/liveness.h"
#include "services/scheduler/reconcile.h"
#include "services/scheduler/state.h"

namespace berth::scheduler {

inline constexpr uint64_t kMiB = uint64_t{1} << 20;

// What the topics show, as text.
inline std::string ReadTopic(const TopicKey& key, const std::string& value) {
  auto text = [&value](auto message) {
    REQUIRE(message.ParseFromString(value));
    return message.DebugString();
  };
  if (absl::StartsWith(key.first, "host/")) return text(v1::Assignment());
  if (absl::StartsWith(key.first, "environment/")) {
    return key.second == "rollout" ? text(v1::Rollout()) : text(v1::Instance());
  }
  return text(v1::Endpoint());
}

// How the instances of an image go.
enum class Behaviour {
  kBecomesReady,
  kFails,          // Exits with 1 instead of becoming ready.
  kStartsForEver,  // Runs, and its ready check never passes.
};

class Fleet {
 public:
  Fleet() : scenario_(ReadTopic) {}

  // An environment's name: org acme, app and env as given.
  static types::v1::EnvironmentName Name(const std::string& app = "notes") {
    types::v1::EnvironmentName name;
    name.set_org("acme");
    name.set_app(app);
    name.set_env("production");
    return name;
  }

  static config::v1::Process Process(uint64_t memory_bytes = 100 * kMiB) {
    config::v1::Process process;
    process.mutable_resources()->set_cpu_milli(100);
    process.mutable_resources()->set_memory_bytes(memory_bytes);
    process.mutable_update()->set_max_surge(1);
    return process;
  }

  // A release of the image with one process type, web.
  static config::v1::Release Release(const std::string& image, uint32_t replicas,
                                     const config::v1::Process& process = Process()) {
    config::v1::Release release;
    release.set_image(image);
    release.set_manifest_digest("manifest");
    (*release.mutable_manifest()->mutable_processes())["web"] = process;
    (*release.mutable_replicas())["web"] = replicas;
    return release;
  }

  // A host that auth knows and whose agent reports.
  void AddHost(const std::string& name, uint64_t memory_bytes) {
    Agent& agent = agents_[name];
    agent.facts.mutable_capacity()->set_cpu_milli(4000);
    agent.facts.mutable_capacity()->set_memory_bytes(memory_bytes);
    auth::v1::Machine machine;
    machine.set_name(name);
    machine.set_org("acme");
    machine.set_status(auth::v1::MACHINE_STATUS_ACTIVE);
    machine.set_prefix(absl::StrCat("\xfd", std::string(6, '\0'), std::string(1, ++prefixes_)));
    ImportMachine(absl::StrCat("host/", name), machine.SerializeAsString());
    ReportOf(name);
    Settle();
  }

  // Auth says that the host's keys have changed, or that they were approved.
  void SetMembership(const std::string& name, auth::v1::MachineStatus status) {
    auth::v1::Machine machine = state().hosts().at(name).machine;
    machine.set_status(status);
    ImportMachine(absl::StrCat("host/", name), machine.SerializeAsString());
    Settle();
  }

  // Auth says that the host is no member any more; its machine is switched off.
  void RemoveHost(const std::string& name) {
    agents_.erase(name);
    ImportMachine(absl::StrCat("host/", name), std::nullopt);
    Settle();
  }

  // The host's agent is cut off, and found out to be.
  void LoseHost(const std::string& name, v1::HostPresence presence = v1::HOST_PRESENCE_LOST) {
    agents_.at(name).connected = false;
    Happen(state().SetPresence(name, presence));
    Settle();
  }

  void ReturnHost(const std::string& name) { agents_.at(name).connected = true; }

  void LabelHost(const std::string& name, const std::map<std::string, std::string>& labels) {
    v1::LabelHostRequest request;
    request.set_org("acme");
    request.set_host(name);
    request.mutable_labels()->insert(labels.begin(), labels.end());
    Given(state().Decide(request)->events);
    Settle();
  }

  // An edge that auth knows. It reports with every step while it is connected, and sends
  // connections to what it has heard of; the test says what it reaches and what is open.
  struct Edge {
    bool connected = true;
    std::set<std::string> not_reached;
    std::map<std::string, uint32_t> connections;  // By instance.
  };
  Edge& AddEdge(const std::string& name) {
    auth::v1::Machine machine;
    machine.set_name(name);
    machine.set_org("acme");
    ImportMachine(absl::StrCat("edge/", name), machine.SerializeAsString());
    return edges_[name];
  }
  void ExcludeEdge(const std::string& name) {
    v1::ExcludeEdgeRequest request;
    request.set_org("acme");
    request.set_edge(name);
    Given(state().Decide(request)->events);
  }
  void IncludeEdge(const std::string& name) {
    v1::IncludeEdgeRequest request;
    request.set_org("acme");
    request.set_edge(name);
    Given(state().Decide(request)->events);
  }
  void RemoveEdge(const std::string& name) {
    edges_.erase(name);
    edge_reports_.erase(name);
    ImportMachine(absl::StrCat("edge/", name), std::nullopt);
    Settle();
  }

  // What the edge-router says of the routes of the newest promotion; empty: they are open.
  void AnswerRoutes(const std::map<std::string, std::string>& refused = {},
                    const std::string& app = "notes") {
    edge_router::v1::EnvironmentRoutes routes;
    *routes.mutable_environment() = Name(app);
    routes.set_promotion(wanted_.at(app).environment.promotion());
    for (const auto& [route, why] : refused) (*routes.mutable_refused())[route] = why;
    Import import;
    import.source = State::kEdgeRouterSource;
    import.revision.set_position(++imports_);
    import.changes[ToString(Name(app))] = routes.SerializeAsString();
    Happen(state().Decide(import));
  }

  void Behave(const std::string& image, Behaviour behaviour) { behaviours_[image] = behaviour; }
  // Whatever their image, instances that are given the version go like this.
  void BehaveGiven(const std::string& secret, uint64_t version, Behaviour behaviour) {
    given_behaviours_[{secret, version}] = behaviour;
  }

  // Whether config can be told how rollouts end.
  void SetConfigHears(bool hears) { config_hears_ = hears; }

  // What berth-secrets says is active; all of it.
  void SetSecrets(const SecretVersions& active, const std::string& app = "notes") {
    secrets::v1::ActiveSecrets secrets;
    *secrets.mutable_environment() = Name(app);
    secrets.mutable_versions()->insert(active.begin(), active.end());
    Import import;
    import.source = State::kSecretsSource;
    import.revision.set_position(++imports_);
    import.changes[ToString(Name(app))] = secrets.SerializeAsString();
    Happen(state().Decide(import));
    Settle();
  }
  const SigningKey& grant_key() const { return grant_key_; }

  // Every instance on the hosts that matches ends by itself.
  void Crash(const std::string& instance_prefix) {
    for (auto& [host, agent] : agents_) {
      for (auto& [id, report] : agent.instances) {
        if (absl::StartsWith(id, instance_prefix)) report.set_phase(v1::PHASE_FAILED);
      }
    }
  }

  // What config does on a deploy, a rollback or a scale.
  void Promote(config::v1::Release release, const std::string& app = "notes") {
    Wanted& wanted = wanted_[app];
    release.set_number(++wanted.releases);
    wanted.environment.set_rollout(config::v1::ROLLOUT_STATE_RUNNING);
    Want(app, release);
  }

  // What a person's `berth restart` of these process types leads to.
  absl::Status Restart(const std::vector<std::string>& process_types,
                       const std::string& app = "notes") {
    v1::RestartRequest request;
    *request.mutable_environment() = Name(app);
    for (const std::string& type : process_types) request.add_process_types(type);
    const auto decided = state().Decide(request, Context());
    if (decided.ok()) Given(decided->events);
    return decided.status();
  }

  // A second of the fleet's life: what is known is acted upon, agents act and report, config hears
  // how rollouts ended.
  void Step() {
    now_ += absl::Seconds(1);
    Settle();
    for (const auto& [name, agent] : agents_) {
      if (agent.connected) {
        Act(name);
        ReportOf(name);
      }
    }
    Settle();
    for (const auto& [name, edge] : edges_) {
      if (edge.connected) ReportOfEdge(name);
    }
    Settle();
    TellConfig();
    Settle();
  }

  // Steps until the rollout has ended and nothing moves any more; fails the test where that takes
  // more than `steps_max` steps. `each` runs after each step.
  template <typename Each>
  void RunUntilQuiet(Each each, int steps_max = 100) {
    for (int step = 0; step < steps_max; ++step) {
      const size_t before = scenario_.history().size();
      Step();
      each();
      if (scenario_.history().size() == before) return;
    }
    FAIL("the fleet did not come to rest in " << steps_max << " steps");
  }
  void RunUntilQuiet() {
    RunUntilQuiet([] {});
  }

  // The wall clock is set, by less than nothing where it is set back.
  void SetClock(absl::Duration by) {
    Settle();
    now_ += by;
    Given(state().ClockWasSet(by));
  }

  // Time passes while nobody reports. Nothing may become due between the moments that NextWake
  // names: the service would miss it.
  void Pass(absl::Duration time) {
    const absl::Time end = now_ + time;
    Settle();
    while (now_ < end) {
      const absl::Time wake = std::min(end, Wake());
      now_ = wake - absl::Nanoseconds(1);
      REQUIRE(Round() == 0);
      now_ = wake;
      Settle();
    }
  }

  // What the service answers to Why while every edge and agent that is connected has just reported.
  v1::WhyResponse Why(const std::string& target = "", const std::string& app = "notes") {
    const absl::StatusOr<v1::WhyResponse> answer =
        Explain(state(), EnvironmentOf(app), target, HeardNow(), now_);
    REQUIRE(answer.status() == absl::OkStatus());
    return *answer;
  }
  Heard HeardNow() const {
    Heard heard;
    heard.edges = edge_reports_;
    heard.silence_max = LivenessPolicy().stale_after;
    for (const auto& [name, edge] : edges_) {
      heard.edge_silence[name] = edge.connected ? absl::ZeroDuration() : heard.silence_max;
    }
    for (const auto& [name, agent] : agents_) {
      heard.host_silence[name] = absl::ZeroDuration();
      if (agent.connected) heard.connected.insert(name);
    }
    return heard;
  }

  // When the service would look again by itself.
  absl::Time Wake() const {
    absl::Time wake = absl::InfiniteFuture();
    for (const auto& [key, environment] : state().environments()) {
      wake = std::min(wake, NextWake(environment, now_));
    }
    return wake;
  }

  // Instances that get new connections: ready, not draining, not to stop, on a host that is not
  // lost.
  size_t Serving(const std::string& app = "notes") const {
    return Count(app, [this](const Instance& instance) {
      return instance.observed.phase() == v1::PHASE_READY && !instance.draining &&
             instance.assignment.intent() == v1::INTENT_RUN &&
             state().hosts().at(instance.host).presence != v1::HOST_PRESENCE_LOST;
    });
  }

  // Instances that are to run and to go on running.
  size_t Running(const std::string& app = "notes") const {
    return Count(app, [](const Instance& instance) {
      return !instance.draining && instance.assignment.intent() == v1::INTENT_RUN;
    });
  }

  std::set<std::string> Ids(const std::string& app = "notes") const {
    std::set<std::string> ids;
    for (const auto& [id, instance] : EnvironmentOf(app).instances) ids.insert(id);
    return ids;
  }

  const Environment& EnvironmentOf(const std::string& app = "notes") const {
    return state().environments().at(ToString(Name(app)));
  }
  const Rollout& RolloutOf(const std::string& app = "notes") const {
    return EnvironmentOf(app).rollout;
  }
  // As config has it.
  uint64_t CurrentRelease(const std::string& app = "notes") const {
    return wanted_.at(app).environment.current_release();
  }
  // Every failure of a rollout so far, oldest first.
  std::vector<std::string> RolloutFailures() const {
    std::vector<std::string> reasons;
    for (const v1::Event& event : scenario_.history()) {
      if (event.has_rollout_failed()) reasons.push_back(event.rollout_failed().reason());
    }
    return reasons;
  }
  // What runs on the host, by its own account.
  const std::map<std::string, v1::InstanceReport>& InstancesOn(const std::string& host) const {
    return agents_.at(host).instances;
  }

  // What an agent that is there reports of an instance next.
  v1::InstanceReport& Report(const std::string& host, const std::string& instance) {
    return agents_.at(host).instances.at(instance);
  }

  // Brings about what Reconcile says until it says nothing.
  void Settle() {
    constexpr int kRoundsMax = 1000;
    for (int round = 0; round < kRoundsMax; ++round) {
      if (Round() == 0) return;
    }
    FAIL("Reconcile never came to an end");
  }

  const State& state() const { return scenario_.state(); }
  absl::Time now() const { return now_; }
  const berth::testing::Scenario<State>& scenario() const { return scenario_; }

 private:
  struct Agent {
    bool connected = true;
    v1::HostFacts facts;
    std::map<std::string, v1::InstanceReport> instances;
  };
  struct Wanted {
    config::v1::Environment environment;
    std::map<uint64_t, config::v1::Release> by_number;
    uint64_t releases = 0;
  };

  // One round over every environment; how many events it made.
  size_t Round() {
    size_t events = 0;
    for (const auto& [app, wanted] : wanted_) {
      const std::vector<v1::Event> next =
          Reconcile(state(), ToString(Name(app)), &grant_key_, Context());
      events += next.size();
      Given(next);
    }
    return events;
  }

  DecisionContext Context() {
    DecisionContext context;
    context.now = now_;
    context.position = scenario_.history().size() + 1;
    context.ids = &ids_;
    return context;
  }

  void Given(const std::vector<v1::Event>& events) {
    for (const v1::Event& event : events) {
      scenario_.Given({event});
      CheckPromises();
    }
  }

  void Happen(const Decided<v1::Event, v1::ReportResponse>& decided) {
    REQUIRE(decided.status() == absl::OkStatus());
    Given(decided->events);
  }

  // Memory is never promised twice, and what a host counts is what its instances add up to. No two
  // instances have the same address.
  void CheckPromises() const {
    std::map<std::string, uint64_t> memory_bytes;
    std::set<std::string> addresses;
    for (const auto& [key, environment] : state().environments()) {
      for (const auto& [id, instance] : environment.instances) {
        memory_bytes[instance.host] += instance.assignment.process().resources().memory_bytes();
        INFO("instance " << id);
        REQUIRE(addresses.insert(instance.assignment.address()).second);
      }
    }
    for (const auto& [name, host] : state().hosts()) {
      INFO("host " << name);
      REQUIRE(host.promised.memory_bytes() == memory_bytes[name]);
      REQUIRE(host.promised.memory_bytes() <= host.facts.capacity().memory_bytes());
    }
  }

  void ImportMachine(const std::string& key, std::optional<std::string> machine) {
    Import import;
    import.source = State::kAuthSource;
    import.revision.set_position(++imports_);
    import.changes[key] = std::move(machine);
    Happen(state().Decide(import));
  }

  void Want(const std::string& app, const config::v1::Release& release) {
    Wanted& wanted = wanted_[app];
    wanted.by_number[release.number()] = release;
    *wanted.environment.mutable_name() = Name(app);
    *wanted.environment.mutable_desired() = release;
    wanted.environment.set_promotion(wanted.environment.promotion() + 1);
    wanted.environment.mutable_promoted()->set_stream("config");
    wanted.environment.mutable_promoted()->set_actor("user/admin");
    ImportWanted(app);
  }

  void ImportWanted(const std::string& app) {
    Import import;
    import.source = State::kConfigSource;
    import.revision.set_position(++imports_);
    import.changes[ToString(Name(app))] = wanted_[app].environment.SerializeAsString();
    Happen(state().Decide(import));
  }

  // One step of a host's agent: what is to start becomes what its image makes of it, what is to
  // stop has stopped, what is gone is forgotten.
  void Act(const std::string& name) {
    Agent& agent = agents_.at(name);
    std::set<std::string> told;
    for (const auto& [key, value] : state().Entries(HostTopic(name))) {
      v1::Assignment assignment;
      REQUIRE(assignment.ParseFromString(value));
      told.insert(assignment.instance());
      v1::InstanceReport& report = agent.instances[assignment.instance()];
      report.set_instance(assignment.instance());
      if (assignment.intent() == v1::INTENT_STOP) {
        report.set_phase(v1::PHASE_STOPPED);
        continue;
      }
      if (report.attempt() != assignment.attempt()) {
        report.set_attempt(assignment.attempt());
        report.set_phase(v1::PHASE_STARTING);
      } else if (report.phase() == v1::PHASE_STARTING) {
        const Behaviour behaviour = BehaviourOf(assignment);
        if (behaviour == Behaviour::kBecomesReady) report.set_phase(v1::PHASE_READY);
        if (behaviour == Behaviour::kFails) {
          report.set_phase(v1::PHASE_FAILED);
          report.set_reason("exited with 1");
          report.set_exit_code(1);
        }
      }
    }
    std::erase_if(agent.instances,
                  [&told](const auto& entry) { return !told.contains(entry.first); });
  }

  Behaviour BehaviourOf(const v1::Assignment& assignment) const {
    for (const auto& [secret, version] : assignment.secret_versions()) {
      const auto given = given_behaviours_.find({secret, version});
      if (given != given_behaviours_.end()) return given->second;
    }
    const auto of_image = behaviours_.find(assignment.image());
    return of_image == behaviours_.end() ? Behaviour::kBecomesReady : of_image->second;
  }

  void ReportOf(const std::string& name) {
    const Agent& agent = agents_.at(name);
    v1::ReportRequest request;
    *request.mutable_facts() = agent.facts;
    for (const auto& [id, report] : agent.instances) *request.add_instances() = report;
    Happen(state().Decide(request, name, Context()));
  }

  void ReportOfEdge(const std::string& name) {
    const Edge& edge = edges_.at(name);
    v1::ReportEdgeRequest& report = edge_reports_[name];
    report.Clear();
    report.mutable_applied()->set_position(scenario_.history().size());
    for (const std::string& instance : edge.not_reached) report.add_not_reached(instance);
    for (const auto& [instance, open] : edge.connections) {
      (*report.mutable_connections())[instance] = open;
    }
    Happen(state().MarkFences(edge_reports_));
  }

  // As config::State takes ReportRollout.
  void TellConfig() {
    if (!config_hears_) return;
    for (auto& [app, wanted] : wanted_) {
      const Rollout& rollout = RolloutOf(app);
      const bool failed = rollout.phase == v1::ROLLOUT_PHASE_FAILED;
      if (rollout.reported || (rollout.phase != v1::ROLLOUT_PHASE_SUCCEEDED && !failed)) continue;
      const bool counts = rollout.promotion == wanted.environment.promotion() &&
                          wanted.environment.rollout() == config::v1::ROLLOUT_STATE_RUNNING;
      Happen(state().MarkReported(Name(app), rollout.promotion));
      if (!counts) continue;
      if (!failed) {
        wanted.environment.set_rollout(config::v1::ROLLOUT_STATE_SUCCEEDED);
        wanted.environment.set_current_release(wanted.environment.desired().number());
        ImportWanted(app);
        continue;
      }
      wanted.environment.set_rollout(config::v1::ROLLOUT_STATE_FAILED);
      Want(app, wanted.by_number[wanted.environment.current_release()]);
    }
  }

  template <typename Predicate>
  size_t Count(const std::string& app, Predicate predicate) const {
    size_t count = 0;
    for (const auto& [id, instance] : EnvironmentOf(app).instances) {
      if (predicate(instance)) ++count;
    }
    return count;
  }

  bool config_hears_ = true;
  SigningKey grant_key_ = *SigningKey::FromSeed(std::string(kSigningSeedSize, 's'));
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  SequentialIdSource ids_;
  berth::testing::Scenario<State> scenario_;
  std::map<std::string, Agent> agents_;
  std::map<std::string, Edge> edges_;
  EdgeReports edge_reports_;
  std::map<std::string, Wanted> wanted_;                                    // By app.
  std::map<std::string, Behaviour> behaviours_;                             // By image.
  std::map<std::pair<std::string, uint64_t>, Behaviour> given_behaviours_;  // By secret version.
  uint64_t imports_ = 0;
  char prefixes_ = 0;
};

}  // namespace berth::scheduler
