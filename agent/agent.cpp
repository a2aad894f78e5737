#include "agent/agent.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "agent/assignment.h"
#include "common/log/log.h"
#include "common/net/ipv6_text.h"
#include "common/text/utf8.h"
#include "common/time/timestamp.h"

namespace berth::agent {
namespace {

using scheduler::v1::Assignment;
using scheduler::v1::InstanceReport;
using scheduler::v1::Phase;

constexpr char kInstancePrefix[] = "instance/";

}  // namespace

void Agent::Start(const WatchClient& desired) {
  WatchClient::Update everything;
  for (const auto& [key, value] : desired.entries()) everything.keys.push_back(key);
  everything.revision = desired.revision();
  if (desired.revision().has_value()) DesiredChanged(desired, everything);
  ListInstances();
  CollectFactsPeriodically();
  ReportPeriodically();
}

Executor* Agent::OneOf(const std::vector<Executor*>& executors, const std::string& instance) {
  return executors[absl::Hash<std::string>{}(instance) % executors.size()];
}

Executor* Agent::WorkerOf(const std::string& instance) const {
  return OneOf(with_.workers, instance);
}

void Agent::DesiredChanged(const WatchClient& client, const WatchClient::Update& update) {
  if (!update.revision.has_value()) return;
  const WatchClient::Entries& entries = client.entries();
  std::set<std::string> keys(update.keys.begin(), update.keys.end());
  if (behind_) {
    for (const auto& [key, value] : entries) keys.insert(key);
    for (const auto& [instance, assignment] : desired_) keys.insert(kInstancePrefix + instance);
  }
  history_changed_ = history_changed_ || update.history_changed;
  // A control plane that came back from a backup, or without its last moments, may still want what
  // it does not know of: that runs on until the control plane says something of it.
  WatchClient::Entries kept;
  for (const auto& [instance, assignment] : desired_) {
    const std::string key = kInstancePrefix + instance;
    const bool missing = history_changed_ && keys.contains(key);
    if (!entries.contains(key) && (missing || kept_.contains(instance))) {
      kept[key] = assignment.SerializeAsString();
    }
  }
  if (!keys.empty()) {
    WatchClient::Entries stored = kept;
    stored.insert(entries.begin(), entries.end());
    if (absl::Status status = with_.cache->Store(WatchClient(stored, *update.revision));
        !status.ok()) {
      // Not applied, so it is not reported as such; the next message of the watch tries again.
      LogError("what is desired could not be stored", {{"why", status.message()}});
      behind_ = true;
      return;
    }
  }
  behind_ = false;
  history_changed_ = false;
  kept_.clear();
  for (const auto& [key, value] : kept) kept_.insert(key.substr(sizeof(kInstancePrefix) - 1));
  for (const std::string& key : keys) Desire(key, entries);
  desired_known_ = true;
  applied_ = *update.revision;
  if (!keys.empty()) ReportSoon();
  Reconcile();
}

void Agent::Desire(const std::string& key, const WatchClient::Entries& entries) {
  absl::string_view rest = key;
  if (!absl::ConsumePrefix(&rest, kInstancePrefix)) return;
  const std::string instance(rest);
  const auto entry = entries.find(key);
  Assignment assignment;
  if (entry == entries.end()) {
    if (!kept_.contains(instance)) {
      desired_.erase(instance);
    } else {
      LogWarning("the control plane does not know of an instance, which runs on",
                 {{"instance", instance}});
    }
    return;
  }
  if (!assignment.ParseFromString(entry->second)) {
    LogError("an assignment cannot be read", {{"instance", instance}});
    return;
  }
  desired_[instance] = std::move(assignment);
  // Adopted before it was known what is checked of it.
  const auto adopted = local_.find(instance);
  if (adopted != local_.end() && adopted->second.health_unknown &&
      !adopted->second.ready.has_value() &&
      adopted->second.observed.phase == InstancePhase::kRunning) {
    Running(instance);
  }
}

void Agent::ListInstances() {
  with_.workers.front()->Post([this] {
    absl::StatusOr<std::vector<InstanceRecord>> records = with_.driver->List();
    with_.loop->Post([this, records = std::move(records)] {
      if (!records.ok()) {
        LogWarning("the driver cannot list what runs", {{"why", records.status().message()}});
        with_.loop->PostAfter(kRetryDelay, [this] { ListInstances(); });
        return;
      }
      Adopt(*records);
    });
  });
}

void Agent::Adopt(const std::vector<InstanceRecord>& records) {
  listed_ = true;
  for (const InstanceRecord& record : records) {
    const auto known = local_.find(record.instance_id);
    if (known != local_.end()) {
      if (known->second.observed.busy || known->second.observed.attempt != record.attempt) continue;
      // An exit that nobody told of.
      if (known->second.observed.phase == InstancePhase::kRunning &&
          record.status.phase == InstancePhase::kExited) {
        InspectExit(record.instance_id);
      }
      continue;
    }
    Local& local = local_[record.instance_id];
    local.observed.attempt = record.attempt;
    local.observed.phase = record.status.phase;
    local.observed.handle = record.handle;
    local.report.set_instance(record.instance_id);
    local.report.set_attempt(static_cast<uint32_t>(record.attempt));
    if (record.status.started_at.has_value()) {
      *local.report.mutable_start_time() = ToTimestamp(*record.status.started_at);
    }
    if (record.status.phase == InstancePhase::kRunning) {
      LogInfo("adopted a running instance",
              {{"instance", record.instance_id}, {"attempt", record.attempt}});
      local.health_unknown = true;
      Running(record.instance_id);
    } else if (record.status.phase == InstancePhase::kExited) {
      InspectExit(record.instance_id);
    }
  }
  Reconcile();
}

void Agent::Reconcile() {
  if (!desired_known_ || !listed_) return;
  std::map<std::string, Observed> observed;
  for (const auto& [instance, local] : local_) observed[instance] = local.observed;
  for (const Action& action : agent::Reconcile(desired_, observed)) {
    std::visit([this](const auto& one) { Begin(one); }, action);
  }
  // What should stop and is not there has stopped.
  for (const auto& [instance, assignment] : desired_) {
    if (assignment.intent() != scheduler::v1::INTENT_STOP) continue;
    Local& local = local_[instance];
    if (local.observed.busy || local.report.phase() == scheduler::v1::PHASE_STOPPED ||
        local.observed.phase == InstancePhase::kRunning) {
      continue;
    }
    if (local.report.instance().empty()) {
      local.observed.attempt = assignment.attempt();
      local.report.set_instance(instance);
      local.report.set_attempt(assignment.attempt());
    }
    // Also of one that was taken over and never checked: there is nothing left to find out.
    local.health_unknown = false;
    SetPhase(instance, scheduler::v1::PHASE_STOPPED, "");
  }
}

void Agent::Begin(const StartInstance& action) {
  const Assignment& assignment = action.assignment;
  const std::string& instance = assignment.instance();
  Local& local = local_[instance];
  const int secrets_missed =
      local.observed.attempt == assignment.attempt() ? local.secrets_missed : 0;
  local = Local();
  local.observed.attempt = assignment.attempt();
  local.observed.busy = true;
  local.secrets_missed = secrets_missed;
  local.report.set_instance(instance);
  local.report.set_attempt(assignment.attempt());
  SetPhase(instance, scheduler::v1::PHASE_PULLING, "");
  LogInfo(
      "starting an instance",
      {{"instance", instance}, {"attempt", assignment.attempt()}, {"image", assignment.image()}});
  WorkerOf(instance)->Post([this, assignment, spec = SpecOf(assignment, with_.network)]() mutable {
    const absl::Status image = with_.driver->EnsureImage({spec.image, PullOf(assignment)});
    if (!image.ok()) {
      with_.loop->Post([this, assignment, image] { ImageMissing(assignment, image); });
      return;
    }
    if (assignment.has_secret_grant()) {
      // Each start anew: memory forgets them when the machine restarts.
      absl::StatusOr<GivenSecrets> given = with_.prepare_secrets(assignment);
      if (!given.ok()) {
        with_.loop->Post(
            [this, assignment, why = given.status()] { SecretsMissed(assignment, why); });
        return;
      }
      GiveSecrets(assignment, *given, &spec);
    }
    with_.loop->Post(
        [this, assignment] { SetPhase(assignment.instance(), scheduler::v1::PHASE_STARTING, ""); });
    absl::StatusOr<InstanceHandle> handle = with_.driver->Start(spec);
    if (handle.ok()) with_.attached();
    with_.loop->Post(
        [this, assignment, handle = std::move(handle)] { Started(assignment, handle); });
  });
}

// The instance waits; that its secrets are not to be had is no failure of it.
void Agent::SecretsMissed(const Assignment& assignment, const absl::Status& why) {
  const std::string& instance = assignment.instance();
  Local& local = local_.at(instance);
  SetPhase(instance, scheduler::v1::PHASE_STARTING,
           absl::StrCat("waits for its secrets: ", why.message()));
  if (local.secrets_missed++ == 0) {
    LogWarning("an instance waits for its secrets",
               {{"instance", instance}, {"why", why.message()}});
  }
  local.observed.phase = InstancePhase::kCreated;
  RetryLater(instance, std::min(kSecretsRetryDelayMax,
                                kRetryDelay * (1 << std::min(local.secrets_missed - 1, 10))));
}

void Agent::ImageMissing(const Assignment& assignment, const absl::Status& why) {
  const std::string& instance = assignment.instance();
  Local& local = local_.at(instance);
  if (absl::IsUnavailable(why)) {
    // The registry's trouble, not the instance's: the same attempt, again.
    SetPhase(instance, scheduler::v1::PHASE_PULLING, std::string(why.message()));
    local.observed.phase = InstancePhase::kCreated;
    RetryLater(instance);
    return;
  }
  local.observed.busy = false;
  local.observed.start_failed = true;
  local.observed.phase = InstancePhase::kGone;
  Failed(instance, scheduler::v1::FAILURE_IMAGE, std::string(why.message()), std::nullopt, {});
  Reconcile();
}

void Agent::Started(const Assignment& assignment, const absl::StatusOr<InstanceHandle>& handle) {
  const std::string& instance = assignment.instance();
  Local& local = local_.at(instance);
  if (absl::IsUnavailable(handle.status())) {
    // The runtime's trouble, not the instance's: the same attempt, again.
    SetPhase(instance, scheduler::v1::PHASE_STARTING, std::string(handle.status().message()));
    local.observed.phase = InstancePhase::kCreated;
    RetryLater(instance);
    return;
  }
  local.observed.busy = false;
  if (handle.ok()) {
    local.observed.handle = *handle;
    local.observed.phase = InstancePhase::kRunning;
    *local.report.mutable_start_time() = ToTimestamp(with_.clock->Now());
    Running(instance);
    if (std::exchange(local.exit_told, false)) InspectExit(instance);
  } else {
    local.observed.start_failed = true;
    local.observed.phase = InstancePhase::kGone;
    Failed(instance, scheduler::v1::FAILURE_START, std::string(handle.status().message()),
           std::nullopt, {});
  }
  Reconcile();
}

// A running instance: ready at once where it has no check, otherwise once that passes.
void Agent::Running(const std::string& instance) {
  Local& local = local_.at(instance);
  const auto assignment = desired_.find(instance);
  // What is checked of it is not known yet, or it is about to be destroyed.
  if (assignment == desired_.end()) return;
  const config::v1::Probe& ready = assignment->second.process().ready();
  if (ready.check_case() == config::v1::Probe::CHECK_NOT_SET) return BecameReady(instance);
  ProbePolicy policy = PolicyOf(ready);
  // How long a new release may take is the rollout's deadline, which the scheduler keeps. What was
  // started long ago has as long as one that was ready and fails.
  policy.start_max =
      local.health_unknown ? policy.failures_needed * policy.interval : absl::InfiniteDuration();
  local.ready.emplace(policy, with_.clock->Monotonic());
  if (!local.health_unknown) SetPhase(instance, scheduler::v1::PHASE_STARTING, "");
  ScheduleCheck(instance, CheckKind::kReady);
}

void Agent::BecameReady(const std::string& instance) {
  Local& local = local_.at(instance);
  local.health_unknown = false;
  SetPhase(instance, scheduler::v1::PHASE_READY, "");
  const config::v1::Probe& live = desired_.at(instance).process().live();
  if (local.live.has_value() || live.check_case() == config::v1::Probe::CHECK_NOT_SET) return;
  ProbePolicy policy = PolicyOf(live);
  // It has started already, so there is nothing that its checks would have to wait for.
  policy.start_interval = policy.interval;
  policy.start_max = policy.failures_needed * policy.interval;
  local.live.emplace(policy, with_.clock->Monotonic());
  ScheduleCheck(instance, CheckKind::kLive);
}

void Agent::EndChecks(Local* local) {
  local->ready.reset();
  local->live.reset();
}

Probe* Agent::FindProbe(const std::string& instance, int64_t attempt, CheckKind kind) {
  const auto found = local_.find(instance);
  if (found == local_.end() || found->second.observed.attempt != attempt ||
      found->second.observed.phase != InstancePhase::kRunning || !desired_.contains(instance)) {
    return nullptr;
  }
  std::optional<Probe>& probe = ProbeOf(found->second, kind);
  return probe.has_value() ? &*probe : nullptr;
}

void Agent::ScheduleCheck(const std::string& instance, CheckKind kind) {
  Local& local = local_.at(instance);
  const std::optional<absl::Duration> next = ProbeOf(local, kind)->NextCheckAt();
  if (!next.has_value()) return;
  const absl::Duration delay = std::max(absl::ZeroDuration(), *next - with_.clock->Monotonic());
  auto run = [this, instance, kind, attempt = local.observed.attempt] {
    if (FindProbe(instance, attempt, kind) != nullptr) RunCheck(instance, kind);
  };
  if (delay == absl::ZeroDuration()) {
    with_.loop->Post(run);
  } else {
    with_.loop->PostAfter(delay, run);
  }
}

void Agent::RunCheck(const std::string& instance, CheckKind kind) {
  Local& local = local_.at(instance);
  if (local.observed.busy) return;
  const Assignment& assignment = desired_.at(instance);
  const config::v1::Probe& asked =
      kind == CheckKind::kReady ? assignment.process().ready() : assignment.process().live();
  const std::optional<Check> check = CheckOf(assignment, asked);
  if (!check.has_value()) return;
  ProbeOf(local, kind)->BeginCheck();
  CheckRequest request{*check, Ipv6Text(assignment.address()), local.observed.handle,
                       PolicyOf(asked).timeout};
  OneOf(with_.checkers, instance)
      ->Post(
          [this, instance, kind, attempt = local.observed.attempt, request = std::move(request)] {
            const CheckResult result = with_.run_check(request);
            with_.loop->Post([this, instance, attempt, kind, result] {
              CheckDone(instance, attempt, kind, result);
            });
          });
}

void Agent::CheckDone(const std::string& instance, int64_t attempt, CheckKind kind,
                      const CheckResult& result) {
  Probe* const probe = FindProbe(instance, attempt, kind);
  if (probe == nullptr) return;
  probe->RecordCheck(result, with_.clock->Monotonic());
  if (kind == CheckKind::kReady) {
    ReadyCheckDone(instance);
  } else if (probe->health() == Health::kUnready) {
    return LiveCheckFailed(instance);
  }
  ScheduleCheck(instance, kind);
}

void Agent::ReadyCheckDone(const std::string& instance) {
  Local& local = local_.at(instance);
  switch (local.ready->health()) {
    case Health::kReady:
      BecameReady(instance);
      break;
    case Health::kStarting:
      if (!local.health_unknown) {
        SetPhase(instance, scheduler::v1::PHASE_STARTING, local.ready->detail());
      }
      break;
    case Health::kUnready:
      local.health_unknown = false;
      SetPhase(instance, scheduler::v1::PHASE_UNREADY, local.ready->detail());
      break;
  }
}

// It runs and does not work any more: once it is stopped, it has failed.
void Agent::LiveCheckFailed(const std::string& instance) {
  Local& local = local_.at(instance);
  local.live_failure = absl::StrCat("its live check failed: ", local.live->detail());
  LogWarning("an instance is stopped", {{"instance", instance}, {"why", local.live_failure}});
  EndChecks(&local);
  SetPhase(instance, scheduler::v1::PHASE_UNREADY, local.live_failure);
  local.observed.busy = true;
  StopFailed(instance, GraceOf(desired_.at(instance)));
}

void Agent::StopFailed(const std::string& instance, absl::Duration grace) {
  WorkerOf(instance)->Post([this, instance, handle = local_.at(instance).observed.handle, grace] {
    const absl::Status status = with_.driver->Stop(handle, grace);
    with_.loop->Post([this, instance, grace, status] {
      if (!status.ok()) {
        LogWarning("an instance could not be stopped and is tried again",
                   {{"instance", instance}, {"why", status.message()}});
        with_.loop->PostAfter(kRetryDelay,
                              [this, instance, grace] { StopFailed(instance, grace); });
        return;
      }
      local_.at(instance).observed.busy = false;
      InspectExit(instance);
      Reconcile();
    });
  });
}

void Agent::Begin(const StopInstance& action) {
  Local& local = local_.at(action.instance);
  local.observed.busy = true;
  EndChecks(&local);
  LogInfo("stopping an instance", {{"instance", action.instance}});
  WorkerOf(action.instance)->Post([this, action, grace = GraceOf(action.assignment)] {
    const absl::Status status = with_.driver->Stop(action.handle, grace);
    with_.loop->Post([this, instance = action.instance, status] {
      if (!status.ok()) {
        LogWarning("an instance could not be stopped and is tried again",
                   {{"instance", instance}, {"why", status.message()}});
        RetryLater(instance);
        return;
      }
      Local& stopped = local_.at(instance);
      stopped.observed.busy = false;
      stopped.observed.phase = InstancePhase::kExited;
      Reconcile();
    });
  });
}

void Agent::Begin(const DestroyInstance& action) {
  Local& local = local_.at(action.instance);
  if (local.observed.handle.value.empty()) {
    // Never came to be: at most its secrets are left.
    local_.erase(action.instance);
    ForgetSecrets(action.instance);
    return;
  }
  local.observed.busy = true;
  EndChecks(&local);
  WorkerOf(action.instance)->Post([this, action] {
    const absl::Status status = with_.driver->Destroy(action.handle);
    with_.loop->Post([this, instance = action.instance, status] {
      if (status.ok()) {
        local_.erase(instance);
        ForgetSecrets(instance);
        Reconcile();
        return;
      }
      LogWarning("an instance could not be removed and is tried again",
                 {{"instance", instance}, {"why", status.message()}});
      RetryLater(instance);
    });
  });
}

// What is left after a failure here goes with the agent's next start.
void Agent::ForgetSecrets(const std::string& instance) {
  WorkerOf(instance)->Post([this, instance] {
    const absl::Status status = with_.forget_secrets(instance);
    if (!status.ok()) {
      LogWarning("an instance's secrets could not be removed",
                 {{"instance", instance}, {"why", status.message()}});
    }
  });
}

// It stays busy until then, so that what is reconciled for others meanwhile does not hurry it.
void Agent::RetryLater(const std::string& instance, absl::Duration delay) {
  with_.loop->PostAfter(delay, [this, instance] {
    local_.at(instance).observed.busy = false;
    Reconcile();
  });
}

void Agent::InstanceExited(const std::string& instance) {
  const auto found = local_.find(instance);
  if (found == local_.end()) return;
  if (found->second.observed.busy) {
    found->second.exit_told = true;
    return;
  }
  if (found->second.observed.phase == InstancePhase::kRunning) InspectExit(instance);
}

void Agent::InspectExit(const std::string& instance) {
  Local& local = local_.at(instance);
  WorkerOf(instance)->Post([this, instance, attempt = local.observed.attempt,
                            handle = local.observed.handle] {
    absl::StatusOr<InstanceStatus> status = with_.driver->Inspect(handle);
    if (status.ok() && status->phase == InstancePhase::kRunning) return;
    std::vector<std::string> log_tail;
    if (auto lines = with_.driver->TailLog(handle, kLogTailLines); lines.ok()) {
      log_tail = *std::move(lines);
    }
    with_.loop->Post([this, instance, attempt, status, log_tail] {
      const auto found = local_.find(instance);
      if (found == local_.end() || found->second.observed.attempt != attempt ||
          found->second.observed.busy) {
        return;
      }
      if (!status.ok()) {
        with_.loop->PostAfter(kRetryDelay, [this, instance] {
          if (local_.contains(instance)) InspectExit(instance);
        });
        return;
      }
      found->second.observed.phase = InstancePhase::kExited;
      const auto assignment = desired_.find(instance);
      if (assignment == desired_.end() ||
          assignment->second.intent() == scheduler::v1::INTENT_STOP) {
        Reconcile();
        return;
      }
      const std::string& live_failure = found->second.live_failure;
      if (live_failure.empty()) {
        Failed(instance, scheduler::v1::FAILURE_EXIT, ExitReason(*status, assignment->second),
               status->exit_code, log_tail);
      } else {
        Failed(instance, scheduler::v1::FAILURE_LIVE_CHECK, live_failure, std::nullopt, log_tail);
      }
      Reconcile();
    });
  });
}

void Agent::Failed(const std::string& instance, scheduler::v1::Failure failure,
                   const std::string& reason, std::optional<int> exit_code,
                   std::vector<std::string> log_tail) {
  Local& local = local_.at(instance);
  EndChecks(&local);
  local.health_unknown = false;
  local.report.set_failure(failure);
  if (exit_code.has_value()) local.report.set_exit_code(*exit_code);
  local.report.clear_log_tail();
  for (const std::string& line : log_tail) {
    // A program may print any bytes; a report is text, and small.
    local.report.add_log_tail(std::string(CutUtf8(ToUtf8(line), kLogTailLineBytesMax)));
  }
  LogWarning("an instance failed", {{"instance", instance}, {"why", reason}});
  SetPhase(instance, scheduler::v1::PHASE_FAILED, reason);
}

void Agent::SetPhase(const std::string& instance, Phase phase, const std::string& why) {
  InstanceReport& report = local_.at(instance).report;
  const std::string reason = ToUtf8(why);
  if (report.phase() == phase && report.reason() == reason) return;
  report.set_phase(phase);
  report.set_reason(reason);
  ReportSoon();
}

std::optional<InstanceHandle> Agent::HandleOf(const std::string& instance) const {
  const auto found = local_.find(instance);
  if (found == local_.end() || found->second.observed.handle.value.empty()) return std::nullopt;
  return found->second.observed.handle;
}

std::map<scheduler::v1::Phase, size_t> Agent::InstancesByPhase() const {
  std::map<scheduler::v1::Phase, size_t> count;
  for (const auto& [id, local] : local_) ++count[local.report.phase()];
  return count;
}

void Agent::ImagesChanged() { CollectFacts(); }

void Agent::CollectFactsPeriodically() {
  CollectFacts();
  with_.loop->PostAfter(kFactsInterval, [this] { CollectFactsPeriodically(); });
}

void Agent::CollectFacts() {
  facts_outdated_ = facts_collecting_;
  if (facts_collecting_) return;
  facts_collecting_ = true;
  with_.workers.back()->Post([this] {
    scheduler::v1::HostFacts facts = with_.collect_facts();
    for (std::string& problem : *facts.mutable_problems()) problem = ToUtf8(problem);
    with_.loop->Post([this, facts = std::move(facts)] {
      const bool changed = !facts_known_ || facts.SerializeAsString() != facts_.SerializeAsString();
      facts_ = facts;
      facts_known_ = true;
      if (changed) {
        report_due_ = true;
        SendReport();
      }
      facts_collecting_ = false;
      if (facts_outdated_) CollectFacts();
    });
  });
}

void Agent::ReportSoon() {
  if (std::exchange(report_due_, true) || report_sending_) return;
  // After the step that brought the change, and whatever else it changes.
  with_.loop->Post([this] { SendReport(); });
}

void Agent::SendReport() {
  // Without its facts a host could be taken for one that has nothing.
  if (!facts_known_ || report_sending_) return;
  report_due_ = false;
  report_sending_ = true;
  scheduler::v1::ReportRequest report;
  *report.mutable_applied() = applied_;
  *report.mutable_facts() = facts_;
  for (const auto& [instance, local] : local_) {
    if (local.health_unknown || local.report.phase() == scheduler::v1::PHASE_UNSPECIFIED) continue;
    *report.add_instances() = local.report;
  }
  with_.send_report(report, [this](absl::Status status) {
    with_.loop->Post([this, status] {
      report_sending_ = false;
      // The next one says everything anew; after an error it waits for its time.
      if (status.ok() && report_due_) SendReport();
      if (!status.ok()) {
        report_due_ = false;
        with_.loop->PostAfter(kRetryDelay, [this] { ReportSoon(); });
      }
    });
  });
}

void Agent::ReportPeriodically() {
  SendReport();
  with_.loop->PostAfter(kReportInterval, [this] { ReportPeriodically(); });
}

}  // namespace berth::agent
