#include "integration/simulation/model_agent.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/secrets/bundle.h"
#include "common/time/timestamp.h"
#include "integration/simulation/identities.h"
#include "services/scheduler/state.h"

namespace berth::simulation {
namespace {

using scheduler::v1::Assignment;

constexpr absl::Duration kFetchRetry = absl::Seconds(1);
constexpr absl::Duration kStartMost = absl::Seconds(3);
constexpr absl::Duration kStopMost = absl::Seconds(1);
constexpr absl::Duration kRunMost = absl::Seconds(20);
constexpr uint64_t kFailsPerMille = 50;
constexpr uint64_t kExitsPerMille = 100;
constexpr uint32_t kCpuMilli = 4000;

bool IsOver(scheduler::v1::Phase phase) {
  return phase == scheduler::v1::PHASE_STOPPED || phase == scheduler::v1::PHASE_FAILED;
}

std::map<std::string, Assignment> ParseAssignments(const WatchClient::Entries& entries) {
  std::map<std::string, Assignment> assignments;
  for (const auto& [key, value] : entries) {
    if (!absl::StartsWith(key, "instance/")) continue;
    Assignment assignment;
    BERTH_CHECK(assignment.ParseFromString(value));
    assignments[assignment.instance()] = std::move(assignment);
  }
  return assignments;
}

}  // namespace

// One life.
struct ModelAgent::Running {
  Running(ModelAgent* of, Life* life)
      : agent(of),
        executor(life->NewExecutor()),
        scheduler(Connect(life, of->options_.schedulers)),
        secrets(Connect(life, of->options_.secrets)),
        reporter(life, [this](std::function<void()> answered) {
          scheduler->CallAsync<scheduler::v1::ReportResponse>(
              agent->MakeReport(), {},
              [answered](const absl::StatusOr<scheduler::v1::ReportResponse>&) { answered(); });
        }) {
    agent->running_ = this;
    for (const auto& [instance, local] : agent->instances_) {
      if (local.fetching) Fetch(local.assignment);
    }
  }
  ~Running() {
    if (agent->running_ == this) agent->running_ = nullptr;
  }

  std::shared_ptr<rpc::Channel> Connect(Life* life, const std::vector<std::string>& servers) const {
    return agent->network_->Connect(life, HostMember(agent->host()).credentials, servers);
  }

  // Until it has them, or the instance is to be stopped.
  void Fetch(const Assignment& assignment) {
    secrets::v1::GetBundleRequest request;
    *request.mutable_grant() = assignment.secret_grant();
    secrets->CallAsync<secrets::v1::GetBundleResponse>(
        request, {},
        [this, assignment](const absl::StatusOr<secrets::v1::GetBundleResponse>& sealed) {
          if (sealed.ok()) return agent->Fetched(assignment, *sealed);
          executor->PostAfter(kFetchRetry, [this, assignment] {
            const auto local = agent->instances_.find(assignment.instance());
            if (local != agent->instances_.end() && local->second.fetching) Fetch(assignment);
          });
        });
  }

  ModelAgent* const agent;
  Executor* const executor;
  const std::shared_ptr<rpc::Channel> scheduler;
  const std::shared_ptr<rpc::Channel> secrets;
  Reporter reporter;
};

ModelAgent::ModelAgent(World* world, Network* network, Options options)
    : world_(world),
      network_(network),
      options_(std::move(options)),
      random_(world->random().Fork()),
      watcher_(world, network,
               {.name = options_.host,
                .stream = scheduler::State::kStream,
                .topic = scheduler::HostTopic(options_.host),
                .credentials = HostMember(options_.host).credentials,
                .servers = options_.schedulers,
                .open =
                    [](std::shared_ptr<rpc::Channel> channel) {
                      return rpc::Subscription::Over<scheduler::v1::WatchHostRequest>(
                          std::move(channel));
                    },
                .begin = [this](Life* life) { return std::make_shared<Running>(this, life); },
                .updated = [this](const WatchClient& client) { Desire(client.entries()); }}) {}

void ModelAgent::Fail(const std::string& what) {
  world_->Fail(absl::StrCat(options_.host, ": ", what));
}

void ModelAgent::ForgetAllBut(const std::map<std::string, Assignment>& desired) {
  for (auto local = instances_.begin(); local != instances_.end();) {
    if (desired.contains(local->first)) {
      ++local;
      continue;
    }
    // Its memory is given to another one while it still has it.
    if (!IsOver(local->second.report.phase())) Fail(local->first + " is forgotten while it runs");
    local = instances_.erase(local);
  }
}

void ModelAgent::Desire(const WatchClient::Entries& entries) {
  const std::map<std::string, Assignment> desired = ParseAssignments(entries);
  ForgetAllBut(desired);
  for (const auto& [instance, assignment] : desired) {
    const auto known = instances_.find(instance);
    if (assignment.intent() == scheduler::v1::INTENT_STOP) {
      Stop(assignment);
    } else if (known == instances_.end() || known->second.stopping ||
               known->second.assignment.attempt() != assignment.attempt()) {
      Start(assignment);
    }
  }
  CheckMemory();
  Changed();
}

void ModelAgent::Start(const Assignment& assignment) {
  Local& local = instances_[assignment.instance()];
  if (assignment.attempt() < local.assignment.attempt() || local.stopping) {
    return Fail(assignment.instance() + " is to be started, by a word that another one followed");
  }
  if (local.assignment.attempt() > 0 && !IsOver(local.report.phase())) {
    return Fail(assignment.instance() + " is to be started anew while it runs");
  }
  local = Local();
  local.assignment = assignment;
  local.report.set_instance(assignment.instance());
  local.report.set_attempt(assignment.attempt());
  local.report.set_phase(scheduler::v1::PHASE_STARTING);
  *local.report.mutable_start_time() = ToTimestamp(absl::UnixEpoch() + world_->now());
  local.fetching = assignment.has_secret_grant();
  if (!local.fetching) return Started(assignment.instance());
  if (running_ != nullptr) running_->Fetch(assignment);
}

void ModelAgent::Fetched(const Assignment& assignment,
                         const secrets::v1::GetBundleResponse& sealed) {
  const std::string& instance = assignment.instance();
  const auto local = instances_.find(instance);
  if (local == instances_.end() || !local->second.fetching ||
      local->second.assignment.attempt() != assignment.attempt()) {
    return;
  }
  const absl::StatusOr<Bundle> bundle =
      Bundle::Open(sealed, SealingKeyOf(HostMember(options_.host)));
  if (!bundle.ok()) {
    return Fail(absl::StrCat(instance, "'s secrets: ", bundle.status().ToString()));
  }
  for (const auto& [name, version] : assignment.secret_versions()) {
    const auto value = bundle->values().find(name);
    if (value == bundle->values().end()) return Fail(instance + " lacks the secret " + name);
    options_.values->Given(assignment.environment(), name, version, value->second);
  }
  local->second.fetching = false;
  Started(instance);
}

void ModelAgent::Started(const std::string& instance) {
  const bool fails = failing_ && random_.Chance(kFailsPerMille);
  Become(instance, fails ? scheduler::v1::PHASE_FAILED : scheduler::v1::PHASE_READY,
         random_.Between(absl::Milliseconds(10), kStartMost));
}

void ModelAgent::Stop(const Assignment& assignment) {
  const std::string& instance = assignment.instance();
  const bool known = instances_.contains(instance);
  Local& local = instances_[instance];
  if (std::exchange(local.stopping, true)) return;
  local.fetching = false;
  if (!known) {
    local.report.set_instance(instance);
    local.report.set_attempt(assignment.attempt());
  }
  // What was never seen, or ended before, has nothing to stop.
  if (!known || IsOver(local.report.phase())) return Became(instance, scheduler::v1::PHASE_STOPPED);
  Become(instance, scheduler::v1::PHASE_STOPPED,
         random_.Between(absl::Milliseconds(10), kStopMost));
}

void ModelAgent::Become(const std::string& instance, scheduler::v1::Phase phase,
                        absl::Duration after) {
  const uint64_t turn = ++turns_;
  instances_.at(instance).turn = turn;
  world_->After(after, [this, instance, phase, turn] {
    const auto found = instances_.find(instance);
    if (found != instances_.end() && found->second.turn == turn) Became(instance, phase);
  });
}

void ModelAgent::Became(const std::string& instance, scheduler::v1::Phase phase) {
  scheduler::v1::InstanceReport& report = instances_.at(instance).report;
  if (phase == scheduler::v1::PHASE_FAILED) {
    const bool ran = report.phase() == scheduler::v1::PHASE_READY;
    report.set_failure(ran ? scheduler::v1::FAILURE_EXIT : scheduler::v1::FAILURE_START);
    report.set_reason(ran ? "it ended by itself" : "it could not be started");
  }
  report.set_phase(phase);
  if (phase == scheduler::v1::PHASE_READY && failing_ && random_.Chance(kExitsPerMille)) {
    Become(instance, scheduler::v1::PHASE_FAILED,
           random_.Between(absl::Milliseconds(10), kRunMost));
  }
  Changed();
}

void ModelAgent::CheckMemory() {
  uint64_t used = 0;
  for (const auto& [instance, local] : instances_) {
    if (IsOver(local.report.phase())) continue;
    used += local.assignment.process().resources().memory_bytes();
  }
  if (used <= options_.memory_bytes) return;
  Fail(absl::StrCat("was told to run instances of ", used, " bytes of memory, and has ",
                    options_.memory_bytes));
}

void ModelAgent::Changed() {
  if (running_ != nullptr) running_->reporter.Report();
}

scheduler::v1::ReportRequest ModelAgent::MakeReport() const {
  scheduler::v1::ReportRequest report;
  if (watcher_.client().revision().has_value()) {
    *report.mutable_applied() = *watcher_.client().revision();
  }
  scheduler::v1::HostFacts& facts = *report.mutable_facts();
  facts.mutable_capacity()->set_memory_bytes(options_.memory_bytes);
  facts.mutable_capacity()->set_cpu_milli(kCpuMilli);
  facts.set_boot_id("first");
  for (const auto& [instance, local] : instances_) *report.add_instances() = local.report;
  return report;
}

absl::Status ModelAgent::CheckRuns(const TopicEntries& entries) const {
  const std::map<std::string, Assignment> desired =
      ParseAssignments({entries.begin(), entries.end()});
  for (const auto& [instance, assignment] : desired) {
    const auto local = instances_.find(instance);
    if (local == instances_.end() || assignment.intent() != scheduler::v1::INTENT_RUN ||
        (local->second.report.phase() != scheduler::v1::PHASE_READY &&
         local->second.report.phase() != scheduler::v1::PHASE_FAILED)) {
      return absl::InternalError(absl::StrCat(
          options_.host, ": ", instance,
          " is not as it should be, long after all faults ended: ", assignment.ShortDebugString()));
    }
  }
  if (instances_.size() == desired.size()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(options_.host, " has ", instances_.size(),
                                          " instances, and should have ", desired.size()));
}

}  // namespace berth::simulation
