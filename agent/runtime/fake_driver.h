#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "agent/runtime/driver.h"
#include "common/clock/clock.h"
#include "common/sync/mutex.h"

namespace berth {

// A driver that runs nothing and behaves as its scripts say. Thread-safe, apart from the clock: who
// moves a ManualClock does so while no call is being made.
//
// Time alone makes an instance exit, but wakes nobody: after moving the clock, NotifyExits tells
// those who watch.
class FakeDriver : public Driver {
 public:
  // What becomes of an attempt.
  struct Script {
    absl::Status start = absl::OkStatus();  // What Start answers; an error starts nothing.
    std::optional<absl::Duration> run_for = std::nullopt;  // How long it runs; for ever if not set.
    int exit_code = 0;
    bool oom_killed = false;
    bool ignores_stop = false;  // Must be killed: exits with 137.
    std::vector<std::string> log = {};
  };

  // `clock` outlives the driver.
  explicit FakeDriver(const Clock* clock) : clock_(clock) {}

  absl::Status EnsureImage(const ImageRequest& request,
                           const std::function<void(absl::string_view)>& on_progress) override;
  absl::StatusOr<InstanceHandle> Start(const InstanceSpec& spec) override;
  absl::Status Stop(const InstanceHandle& handle, absl::Duration grace) override;
  absl::StatusOr<InstanceStatus> Inspect(const InstanceHandle& handle) override;
  absl::StatusOr<std::vector<InstanceRecord>> List() override;
  absl::Status Destroy(const InstanceHandle& handle) override;
  absl::StatusOr<std::vector<std::string>> TailLog(const InstanceHandle& handle,
                                                   int lines_max) override;
  absl::Status FollowLog(const InstanceHandle& handle, const LogQuery& query, std::stop_token stop,
                         const std::function<bool(const LogLine&)>& on_line) override;
  absl::StatusOr<std::unique_ptr<ExecStream>> OpenExec(const InstanceHandle& handle,
                                                       const ExecSpec& spec) override;
  absl::StatusOr<ExecResult> Exec(const InstanceHandle& handle,
                                  const std::vector<std::string>& command,
                                  absl::Duration timeout) override;
  absl::StatusOr<std::vector<LocalImage>> LocalImages() override;
  absl::StatusOr<DriverFacts> Facts() override;
  absl::Status WatchEvents(std::stop_token stop, const DriverEvents& events) override;

  // For attempts of this instance, or of all others, that are started from now on.
  void SetScript(const std::string& instance_id, Script script);
  void SetDefaultScript(Script script);
  // Every image can be pulled but these.
  void SetImageError(const std::string& image, absl::Status error);
  // An image that is on the host before anything is pulled.
  void AddLocalImage(LocalImage image);
  void SetExec(std::function<absl::StatusOr<ExecResult>(const std::vector<std::string>&)> exec);
  void SetFacts(DriverFacts facts);

  // Every call answers so until an OK status is set: the runtime is away.
  void SetUnavailable(absl::Status error);

  // Lets Start and EnsureImage wait until Release, as a slow host does.
  void Hold();
  void Release();

  // Ends a running instance of this id now.
  void Exit(const std::string& instance_id, int exit_code);
  // Adds a line to the log of the instance of this id.
  void Print(const std::string& instance_id, const std::string& text);
  void NotifyExits();

  // What was asked so far, in order: "pull IMAGE", "start ID#ATTEMPT", "stop ID#ATTEMPT",
  // "destroy ID#ATTEMPT".
  std::vector<std::string> calls() const;

 private:
  struct Instance {
    InstanceSpec spec;
    InstanceStatus status;
    Script script;
    absl::Duration started;  // By the monotonic clock.
    std::vector<LogLine> log;
  };

  // Lets time pass for all that runs.
  void SettleLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ExitLocked(const std::string& handle, Instance& instance, int exit_code)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DestroyLocked(const std::string& handle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Instance* FindLocked(const InstanceHandle& handle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasImageLocked(const std::string& image) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AwaitReleaseLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  mutable Mutex mutex_;
  std::map<std::string, Script> scripts_ ABSL_GUARDED_BY(mutex_);
  Script default_script_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Instance> instances_ ABSL_GUARDED_BY(mutex_);  // By handle.
  std::map<std::string, absl::Status> image_errors_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> pulled_ ABSL_GUARDED_BY(mutex_);
  std::vector<LocalImage> local_images_ ABSL_GUARDED_BY(mutex_);
  int images_changed_ ABSL_GUARDED_BY(mutex_) = 0;  // How often.
  std::function<absl::StatusOr<ExecResult>(const std::vector<std::string>&)> exec_
      ABSL_GUARDED_BY(mutex_);
  DriverFacts facts_ ABSL_GUARDED_BY(mutex_) = {
      .version = "fake", .cgroup_version = 2, .network_backend = "fake"};
  absl::Status unavailable_ ABSL_GUARDED_BY(mutex_);
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<InstanceExit> exits_ ABSL_GUARDED_BY(mutex_);  // All there were.
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth
