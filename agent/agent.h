#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/health/probe.h"
#include "agent/reconcile.h"
#include "agent/runtime/driver.h"
#include "agent/secrets/given_secrets.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/clock/clock.h"
#include "common/executor/executor.h"
#include "common/watch/watch_cache.h"
#include "common/watch/watch_client.h"

namespace berth::agent {

// One check of an instance, to be run off the loop.
struct CheckRequest {
  Check check;
  std::string address;  // IPv6, as text.
  InstanceHandle handle;
  absl::Duration timeout;
};

// What an agent stands on. Everything outlives it; the executors are stopped before it is
// destroyed.
struct Dependencies {
  Driver* driver;
  Executor* loop;
  // Run what blocks: driver calls. Actions about one instance run on one of them.
  std::vector<Executor*> workers;
  // Run checks, which wait for the instance: nobody waits for them.
  std::vector<Executor*> checkers;
  const Clock* clock;
  const WatchCache* cache;
  std::string network;  // What instances are attached to.
  std::function<CheckResult(const CheckRequest&)> run_check;
  // Run on a worker: what the host is and has.
  std::function<scheduler::v1::HostFacts()> collect_facts;
  // Run on the instance's worker, where its assignment has a grant: makes its secrets file anew.
  std::function<absl::StatusOr<GivenSecrets>(const scheduler::v1::Assignment&)> prepare_secrets;
  // Run on the instance's worker, once it is destroyed.
  std::function<absl::Status(const std::string& instance)> forget_secrets;
  // Sends a report; `done` runs on any thread.
  std::function<void(const scheduler::v1::ReportRequest&, std::function<void(absl::Status)> done)>
      send_report;
  // Run on the instance's worker, once it is attached to the network.
  std::function<void()> attached;
};

// The agent's loop: desired (watch) and observed (driver) → ordered actions → act → report.
//
// Idempotent and restart-safe: it adopts what runs and restarts nothing, and it does so from its
// cache while the control plane is away. Being cut off is never a reason to stop anything. Every
// function is called on the loop.
class Agent {
 public:
  static constexpr absl::Duration kReportInterval = absl::Seconds(5);
  static constexpr absl::Duration kFactsInterval = absl::Seconds(5);
  static constexpr absl::Duration kRetryDelay = absl::Seconds(1);
  // An instance that waits for its secrets asks again after kRetryDelay, doubled up to this.
  static constexpr absl::Duration kSecretsRetryDelayMax = absl::Seconds(10);
  static constexpr int kLogTailLines = 20;
  static constexpr size_t kLogTailLineBytesMax = 400;

  explicit Agent(Dependencies dependencies) : with_(std::move(dependencies)) {}

  // Takes up what the cache says is desired and what the driver says runs. `desired` is the cache's
  // content.
  void Start(const WatchClient& desired);

  // The watch brought news.
  void DesiredChanged(const WatchClient& client, const WatchClient::Update& update);

  // The driver's watch for events began: what happened before was not told.
  void EventsWatched() {
    ListInstances();
    ImagesChanged();
  }
  void InstanceExited(const std::string& instance);
  // An image that was made a moment ago may be what the scheduler waits for.
  void ImagesChanged();

  // To read an instance's log with; nullopt: it does not exist here.
  std::optional<InstanceHandle> HandleOf(const std::string& instance) const;

  // Whether it acts: what runs and what is desired are known.
  bool IsActing() const { return listed_ && desired_known_; }

  // How many instances are in each phase, without those that have none.
  std::map<scheduler::v1::Phase, size_t> InstancesByPhase() const;

  // The position of the newest desired state that is stored and acted on.
  uint64_t applied_position() const { return applied_.position(); }

 private:
  enum class CheckKind { kReady, kLive };
  struct Local {
    Observed observed;
    scheduler::v1::InstanceReport report;
    std::optional<Probe> ready;
    std::optional<Probe> live;  // Once it was ready.
    std::string live_failure;   // Why it is being stopped: it runs and does not work.
    // Taken over from an earlier agent and not checked yet: nothing is said of its health until it
    // is known, so that adopting makes nobody believe that it became unready.
    bool health_unknown = false;
    // It exited while an action was under way, perhaps the start whose end is not known yet.
    bool exit_told = false;
    int secrets_missed = 0;  // How often in a row this attempt's secrets could not be had.
  };

  static std::optional<Probe>& ProbeOf(Local& local, CheckKind kind) {
    return kind == CheckKind::kReady ? local.ready : local.live;
  }
  // Its checks end; one that runs counts for nothing.
  static void EndChecks(Local* local);
  // The instance's probe of that kind, where there is something to ask of it now.
  Probe* FindProbe(const std::string& instance, int64_t attempt, CheckKind kind);

  // Takes over what the entries say under the key.
  void Desire(const std::string& key, const WatchClient::Entries& entries);
  void ListInstances();
  void Adopt(const std::vector<InstanceRecord>& records);
  void Reconcile();
  void Begin(const StartInstance& action);
  void Begin(const StopInstance& action);
  void Begin(const DestroyInstance& action);
  void ImageMissing(const scheduler::v1::Assignment& assignment, const absl::Status& why);
  void Started(const scheduler::v1::Assignment& assignment,
               const absl::StatusOr<InstanceHandle>& handle);
  void SecretsMissed(const scheduler::v1::Assignment& assignment, const absl::Status& why);
  void ForgetSecrets(const std::string& instance);
  void RetryLater(const std::string& instance, absl::Duration delay = kRetryDelay);
  void Running(const std::string& instance);
  void SetPhase(const std::string& instance, scheduler::v1::Phase phase, const std::string& why);
  void Failed(const std::string& instance, scheduler::v1::Failure failure,
              const std::string& reason, std::optional<int> exit_code,
              std::vector<std::string> log_tail);
  void InspectExit(const std::string& instance);
  void BecameReady(const std::string& instance);
  void LiveCheckFailed(const std::string& instance);
  void StopFailed(const std::string& instance, absl::Duration grace);
  void ScheduleCheck(const std::string& instance, CheckKind kind);
  void RunCheck(const std::string& instance, CheckKind kind);
  void CheckDone(const std::string& instance, int64_t attempt, CheckKind kind,
                 const CheckResult& result);
  void ReadyCheckDone(const std::string& instance);
  void CollectFacts();
  void CollectFactsPeriodically();
  void ReportSoon();
  void SendReport();
  void ReportPeriodically();
  static Executor* OneOf(const std::vector<Executor*>& executors, const std::string& instance);
  Executor* WorkerOf(const std::string& instance) const;

  const Dependencies with_;
  std::map<std::string, scheduler::v1::Assignment> desired_;
  bool desired_known_ = false;    // From the cache or the watch: nothing is destroyed before.
  bool behind_ = false;           // Something desired could not be stored, so it is not applied.
  bool history_changed_ = false;  // In what is not applied yet.
  std::set<std::string> kept_;    // In desired_, although the control plane does not know of them.
  bool listed_ = false;           // Nothing is started before what runs is known.
  watch::v1::Revision applied_;
  std::map<std::string, Local> local_;
  scheduler::v1::HostFacts facts_;
  bool facts_known_ = false;
  bool facts_collecting_ = false;
  bool facts_outdated_ = false;  // Since they began to be collected.
  bool report_due_ = false;      // Something changed since the last report was made.
  bool report_sending_ = false;
};

}  // namespace berth::agent
