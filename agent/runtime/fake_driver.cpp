#include "agent/runtime/fake_driver.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/runtime/attached_program.h"
#include "common/sync/mutex.h"

namespace berth {
namespace {

std::string Name(const InstanceSpec& spec) {
  return absl::StrCat(spec.instance_id, "#", spec.attempt);
}

bool IsRunning(const InstanceStatus& status) { return status.phase == InstancePhase::kRunning; }

}  // namespace

void FakeDriver::SettleLocked() {
  for (auto& [handle, instance] : instances_) {
    const std::optional<absl::Duration>& run_for = instance.script.run_for;
    if (!IsRunning(instance.status) || !run_for) continue;
    if (clock_->Monotonic() - instance.started < *run_for) continue;
    ExitLocked(handle, instance, instance.script.exit_code);
  }
}

void FakeDriver::ExitLocked(const std::string& handle, Instance& instance, int exit_code) {
  instance.status.phase = InstancePhase::kExited;
  instance.status.exited_at = clock_->Now();
  instance.status.exit_code = exit_code;
  instance.status.oom_killed = instance.script.oom_killed;
  instance.status.pid.reset();
  exits_.push_back({{handle}, instance.spec.instance_id, instance.spec.attempt});
}

void FakeDriver::DestroyLocked(const std::string& handle) {
  const auto found = instances_.find(handle);
  if (found == instances_.end()) return;
  if (IsRunning(found->second.status)) ExitLocked(handle, found->second, 137);
  instances_.erase(found);
}

FakeDriver::Instance* FakeDriver::FindLocked(const InstanceHandle& handle) {
  SettleLocked();
  const auto found = instances_.find(handle.value);
  return found == instances_.end() ? nullptr : &found->second;
}

bool FakeDriver::HasImageLocked(const std::string& image) const {
  if (pulled_.count(image) != 0) return true;
  return std::any_of(local_images_.begin(), local_images_.end(), [&](const LocalImage& local) {
    return local.id == image || absl::EndsWith(image, absl::StrCat("@", local.digest)) ||
           std::find(local.names.begin(), local.names.end(), image) != local.names.end();
  });
}

void FakeDriver::AwaitReleaseLocked() {
  mutex_.Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !held_; });
}

absl::Status FakeDriver::EnsureImage(const ImageRequest& request,
                                     const std::function<void(absl::string_view)>& on_progress) {
  {
    MutexLock lock(&mutex_);
    AwaitReleaseLocked();
    if (!unavailable_.ok()) return unavailable_;
    const bool is_of_this_host =
        absl::StartsWith(request.image, "localhost/") || absl::StartsWith(request.image, "sha256:");
    const bool asks_registry = !is_of_this_host && request.pull == ImageRequest::Pull::kAlways;
    if (!asks_registry && HasImageLocked(request.image)) return absl::OkStatus();
    if (is_of_this_host || request.pull == ImageRequest::Pull::kNever) {
      return absl::NotFoundError(absl::StrCat("image ", request.image, " is not on this host"));
    }
    calls_.push_back(absl::StrCat("pull ", request.image));
    const auto error = image_errors_.find(request.image);
    if (error != image_errors_.end()) return error->second;
    pulled_.insert(request.image);
  }
  if (on_progress) on_progress("pulled");
  return absl::OkStatus();
}

absl::StatusOr<InstanceHandle> FakeDriver::Start(const InstanceSpec& spec) {
  MutexLock lock(&mutex_);
  AwaitReleaseLocked();
  if (!unavailable_.ok()) return unavailable_;
  calls_.push_back(absl::StrCat("start ", Name(spec)));
  SettleLocked();
  const std::string handle = absl::StrCat("fake-", Name(spec));
  if (instances_.count(handle) != 0) return InstanceHandle{handle};
  for (auto other = instances_.begin(); other != instances_.end();) {
    const auto current = other++;
    if (current->second.spec.instance_id != spec.instance_id) continue;
    if (current->second.spec.attempt > spec.attempt) {
      return absl::AbortedError(absl::StrCat("attempt ", current->second.spec.attempt,
                                             " of instance ", spec.instance_id, " is newer than ",
                                             spec.attempt));
    }
    DestroyLocked(current->first);
  }
  if (!HasImageLocked(spec.image)) {
    return absl::NotFoundError(absl::StrCat("image ", spec.image, " is not on this host"));
  }
  const auto script = scripts_.find(spec.instance_id);
  Instance instance{.spec = spec,
                    .status = {},
                    .script = script == scripts_.end() ? default_script_ : script->second,
                    .started = clock_->Monotonic(),
                    .log = {}};
  if (!instance.script.start.ok()) return instance.script.start;
  instance.status.phase = InstancePhase::kRunning;
  instance.status.started_at = clock_->Now();
  instance.status.pid = 1000 + static_cast<int64_t>(calls_.size());
  for (const std::string& text : instance.script.log) {
    instance.log.push_back({clock_->Now(), LogLine::Source::kOutput, text});
  }
  instances_.emplace(handle, std::move(instance));
  SettleLocked();
  return InstanceHandle{handle};
}

absl::Status FakeDriver::Stop(const InstanceHandle& handle, absl::Duration) {
  MutexLock lock(&mutex_);
  if (!unavailable_.ok()) return unavailable_;
  Instance* instance = FindLocked(handle);
  if (instance == nullptr) return absl::OkStatus();
  calls_.push_back(absl::StrCat("stop ", Name(instance->spec)));
  if (IsRunning(instance->status)) {
    ExitLocked(handle.value, *instance, instance->script.ignores_stop ? 137 : 0);
  }
  return absl::OkStatus();
}

absl::StatusOr<InstanceStatus> FakeDriver::Inspect(const InstanceHandle& handle) {
  MutexLock lock(&mutex_);
  if (!unavailable_.ok()) return unavailable_;
  const Instance* instance = FindLocked(handle);
  return instance == nullptr ? InstanceStatus{} : instance->status;
}

absl::StatusOr<std::vector<InstanceRecord>> FakeDriver::List() {
  MutexLock lock(&mutex_);
  if (!unavailable_.ok()) return unavailable_;
  SettleLocked();
  std::vector<InstanceRecord> records;
  for (const auto& [handle, instance] : instances_) {
    records.push_back({{handle},
                       instance.spec.instance_id,
                       instance.spec.attempt,
                       instance.spec.labels,
                       instance.status});
  }
  return records;
}

absl::Status FakeDriver::Destroy(const InstanceHandle& handle) {
  MutexLock lock(&mutex_);
  if (!unavailable_.ok()) return unavailable_;
  const Instance* instance = FindLocked(handle);
  if (instance == nullptr) return absl::OkStatus();
  calls_.push_back(absl::StrCat("destroy ", Name(instance->spec)));
  DestroyLocked(handle.value);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FakeDriver::TailLog(const InstanceHandle& handle,
                                                             int lines_max) {
  MutexLock lock(&mutex_);
  if (!unavailable_.ok()) return unavailable_;
  const Instance* instance = FindLocked(handle);
  if (instance == nullptr) return absl::NotFoundError("there is no such instance");
  const size_t count = std::min(instance->log.size(), static_cast<size_t>(lines_max));
  std::vector<std::string> lines;
  for (size_t i = instance->log.size() - count; i < instance->log.size(); ++i) {
    lines.push_back(instance->log[i].text);
  }
  return lines;
}

absl::Status FakeDriver::FollowLog(const InstanceHandle& handle, const LogQuery& query,
                                   std::stop_token stop,
                                   const std::function<bool(const LogLine&)>& on_line) {
  // Taking the lock is what makes a waiter look again.
  const std::stop_callback wake(stop, [this] { MutexLock lock(&mutex_); });
  size_t next = 0;
  {
    MutexLock lock(&mutex_);
    if (!unavailable_.ok()) return unavailable_;
    const Instance* instance = FindLocked(handle);
    if (instance == nullptr) return absl::NotFoundError("there is no such instance");
    const size_t size = instance->log.size();
    next = size - std::min(size, static_cast<size_t>(query.tail_lines_max));
  }
  while (!stop.stop_requested()) {
    LogLine line;
    {
      MutexLock lock(&mutex_);
      auto changed = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
        const Instance* instance = FindLocked(handle);
        return instance == nullptr || next < instance->log.size() || !IsRunning(instance->status) ||
               stop.stop_requested();
      };
      if (query.follow) mutex_.Await(changed);
      const Instance* instance = FindLocked(handle);
      if (stop.stop_requested() || instance == nullptr || next >= instance->log.size()) break;
      line = instance->log[next++];
    }
    if (query.since && line.time < *query.since) continue;
    if (!on_line(line)) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<ExecResult> FakeDriver::Exec(const InstanceHandle& handle,
                                            const std::vector<std::string>& command,
                                            absl::Duration) {
  std::function<absl::StatusOr<ExecResult>(const std::vector<std::string>&)> exec;
  {
    MutexLock lock(&mutex_);
    if (!unavailable_.ok()) return unavailable_;
    const Instance* instance = FindLocked(handle);
    if (instance == nullptr || !IsRunning(instance->status)) {
      return absl::FailedPreconditionError("the instance does not run");
    }
    exec = exec_;
  }
  if (!exec) return ExecResult{};
  return exec(command);
}

absl::StatusOr<std::unique_ptr<ExecStream>> FakeDriver::OpenExec(const InstanceHandle& handle,
                                                                 const ExecSpec& spec) {
  {
    MutexLock lock(&mutex_);
    if (!unavailable_.ok()) return unavailable_;
    const Instance* instance = FindLocked(handle);
    if (instance == nullptr || !IsRunning(instance->status)) {
      return absl::FailedPreconditionError("the instance does not run");
    }
  }
  // Its instances are nowhere: what runs inside of them runs on this host.
  return AttachedProgram::Start(spec.command, spec, nullptr);
}

absl::StatusOr<std::vector<LocalImage>> FakeDriver::LocalImages() {
  MutexLock lock(&mutex_);
  if (!unavailable_.ok()) return unavailable_;
  return local_images_;
}

absl::StatusOr<DriverFacts> FakeDriver::Facts() {
  MutexLock lock(&mutex_);
  if (!unavailable_.ok()) return unavailable_;
  return facts_;
}

absl::Status FakeDriver::WatchEvents(std::stop_token stop, const DriverEvents& events) {
  const std::stop_callback wake(stop, [this] { MutexLock lock(&mutex_); });
  size_t told = 0;
  int images_told = 0;
  {
    MutexLock lock(&mutex_);
    if (!unavailable_.ok()) return unavailable_;
    SettleLocked();
    told = exits_.size();
    images_told = images_changed_;
  }
  events.on_watching();
  while (true) {
    std::optional<InstanceExit> exit;
    {
      MutexLock lock(&mutex_);
      auto changed = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
        return told < exits_.size() || images_told < images_changed_ || stop.stop_requested() ||
               !unavailable_.ok();
      };
      mutex_.Await(changed);
      if (stop.stop_requested()) return absl::OkStatus();
      if (!unavailable_.ok()) return unavailable_;
      if (told < exits_.size()) {
        exit = exits_[told++];
      } else {
        images_told = images_changed_;
      }
    }
    if (exit.has_value()) {
      events.on_exit(*exit);
    } else {
      events.on_images_changed();
    }
  }
}

void FakeDriver::SetScript(const std::string& instance_id, Script script) {
  MutexLock lock(&mutex_);
  scripts_[instance_id] = std::move(script);
}

void FakeDriver::SetDefaultScript(Script script) {
  MutexLock lock(&mutex_);
  default_script_ = std::move(script);
}

void FakeDriver::SetImageError(const std::string& image, absl::Status error) {
  MutexLock lock(&mutex_);
  image_errors_[image] = std::move(error);
}

void FakeDriver::AddLocalImage(LocalImage image) {
  MutexLock lock(&mutex_);
  local_images_.push_back(std::move(image));
  ++images_changed_;
}

void FakeDriver::SetExec(
    std::function<absl::StatusOr<ExecResult>(const std::vector<std::string>&)> exec) {
  MutexLock lock(&mutex_);
  exec_ = std::move(exec);
}

void FakeDriver::SetFacts(DriverFacts facts) {
  MutexLock lock(&mutex_);
  facts_ = std::move(facts);
}

void FakeDriver::SetUnavailable(absl::Status error) {
  MutexLock lock(&mutex_);
  unavailable_ = std::move(error);
}

void FakeDriver::Hold() {
  MutexLock lock(&mutex_);
  held_ = true;
}

void FakeDriver::Release() {
  MutexLock lock(&mutex_);
  held_ = false;
}

void FakeDriver::Exit(const std::string& instance_id, int exit_code) {
  MutexLock lock(&mutex_);
  for (auto& [handle, instance] : instances_) {
    if (instance.spec.instance_id == instance_id && IsRunning(instance.status)) {
      ExitLocked(handle, instance, exit_code);
    }
  }
}

void FakeDriver::Print(const std::string& instance_id, const std::string& text) {
  MutexLock lock(&mutex_);
  for (auto& [handle, instance] : instances_) {
    if (instance.spec.instance_id != instance_id) continue;
    instance.log.push_back({clock_->Now(), LogLine::Source::kOutput, text});
  }
}

void FakeDriver::NotifyExits() {
  MutexLock lock(&mutex_);
  SettleLocked();
}

std::vector<std::string> FakeDriver::calls() const {
  MutexLock lock(&mutex_);
  return calls_;
}

}  // namespace berth
