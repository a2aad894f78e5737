#include "agent/runtime/podman/podman_driver.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/runtime/attached_program.h"
#include "agent/runtime/podman/container_json.h"
#include "agent/runtime/podman/host_facts.h"
#include "agent/runtime/podman/kernel_memory_kill.h"
#include "agent/runtime/podman/log_frames.h"
#include "agent/runtime/program.h"
#include "common/libpod/json_fields.h"
#include "common/libpod/libpod_error.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"

namespace berth {
namespace {

using nlohmann::json;

// A start that meets leftovers of a crash clears them away and tries again this often.
constexpr int kStartTriesMax = 3;
// Events are asked for from a little before now: their times are whole seconds.
constexpr absl::Duration kEventOverlap = absl::Seconds(2);
// What an exit code is where a signal ended the process: 128 + SIGKILL.
constexpr int kKilledExitCode = 137;

std::string ContainerPath(absl::string_view id, absl::string_view action) {
  return absl::StrCat("/containers/", PercentEncode(id), action);
}

std::string Filters(const json& filters) {
  return absl::StrCat("filters=", PercentEncode(filters.dump()));
}

// Images made on this host have no registry to be pulled from.
bool IsImageOfThisHost(absl::string_view image) {
  return absl::StartsWith(image, "localhost/") || absl::StartsWith(image, "sha256:") ||
         image.find_first_of("./:") == absl::string_view::npos;
}

// Splits what is streamed into the JSON values of its lines; a line that is none is left out, and
// one longer than the limit too.
class JsonLines {
 public:
  void Feed(absl::string_view bytes, const std::function<void(const json&)>& on_value) {
    constexpr size_t kLineBytesMax = size_t{1} << 20;
    for (const char c : bytes) {
      if (c != '\n') {
        if (line_.size() < kLineBytesMax) line_ += c;
        continue;
      }
      const json value = json::parse(line_, nullptr, false);
      line_.clear();
      if (value.is_object()) on_value(value);
    }
  }

 private:
  std::string line_;
};

// A file that is gone with its owner, in memory and for this user only: an instance's environment
// may hold secrets.
class TemporaryFile {
 public:
  TemporaryFile() : path_("/dev/shm/berth-exec-XXXXXX") {
    const int fd = mkstemp(path_.data());
    if (fd >= 0) close(fd);
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void KillProcessIn(const std::string& pid_file) {
  pid_t pid = 0;
  if (std::ifstream(pid_file) >> pid && pid > 0) kill(pid, SIGKILL);
}

// Podman does not notice a memory kill on every kernel; the exit code alone does not tell it from
// any other kill.
void AddMemoryKill(const std::string& id, InstanceStatus* status) {
  if (status->phase != InstancePhase::kExited || status->exit_code != kKilledExitCode) return;
  if (!status->oom_killed) status->oom_killed = KernelKilledForMemory(id);
}

}  // namespace

PodmanDriver::PodmanDriver(const PodmanServiceSettings& settings, std::string host,
                           const Clock* clock)
    : host_(std::move(host)),
      podman_program_(settings.program),
      clock_(clock),
      service_(settings),
      client_(settings.socket_path, [this] { return service_.EnsureRunning(); }) {}

absl::StatusOr<bool> PodmanDriver::HasImage(const std::string& image) {
  const absl::Status status =
      client_.Call({.path = absl::StrCat("/images/", PercentEncode(image), "/exists")}).status();
  if (absl::IsNotFound(status)) return false;
  if (!status.ok()) return status;
  return true;
}

absl::Status PodmanDriver::EnsureImage(const ImageRequest& request,
                                       const std::function<void(absl::string_view)>& on_progress) {
  const bool is_of_this_host = IsImageOfThisHost(request.image);
  if (is_of_this_host || request.pull != ImageRequest::Pull::kAlways) {
    BERTH_ASSIGN_OR_RETURN(const bool present, HasImage(request.image));
    if (present) return absl::OkStatus();
  }
  if (is_of_this_host || request.pull == ImageRequest::Pull::kNever) {
    return absl::NotFoundError(
        absl::StrCat("image ", request.image, " is not on this host, and is never pulled"));
  }
  // Success and failure both come as lines of a 200: the failure has an "error".
  JsonLines lines;
  std::string error;
  const absl::Status status = client_.Stream(
      {.method = "POST",
       .path = absl::StrCat(
           "/images/pull?policy=always&reference=", PercentEncode("docker://" + request.image),
           request.tls_verify ? "" : "&tlsVerify=false"),
       .timeout = kImagePullMax},
      std::stop_token(), {.on_bytes = [&](absl::string_view bytes) {
        lines.Feed(bytes, [&](const json& line) {
          const std::string progress = StringOf(line, "stream");
          if (on_progress && !progress.empty()) {
            on_progress(absl::StripTrailingAsciiWhitespace(progress));
          }
          if (line.contains("error")) error = StringOf(line, "error");
        });
        return true;
      }});
  if (!error.empty()) return PullError(request.image, error);
  return status;
}

absl::StatusOr<InstanceHandle> PodmanDriver::Start(const InstanceSpec& spec) {
  BERTH_ASSIGN_OR_RETURN(const json request, ContainerRequest(spec, host_));
  absl::Status last = absl::OkStatus();
  for (int i = 0; i < kStartTriesMax; ++i) {
    absl::StatusOr<std::string> created = Create(request);
    if (created.ok()) {
      BERTH_RETURN_IF_ERROR(StartContainer(*created));
      return InstanceHandle{*std::move(created)};
    }
    last = created.status();
    if (last.code() != absl::StatusCode::kAlreadyExists) break;

    BERTH_ASSIGN_OR_RETURN(const std::optional<Existing> existing, FindByName(spec.instance_id));
    if (existing && existing->attempt > spec.attempt) {
      return absl::AbortedError(absl::StrCat("attempt ", existing->attempt, " of instance ",
                                             spec.instance_id, " is newer than ", spec.attempt));
    }
    if (existing && existing->attempt == spec.attempt) {
      if (existing->phase == InstancePhase::kCreated) {
        BERTH_RETURN_IF_ERROR(StartContainer(existing->id));
      }
      return InstanceHandle{existing->id};
    }
    // An older attempt; or what has the name is not a container, only its storage, which a crash in
    // the middle of a create leaves.
    BERTH_RETURN_IF_ERROR(
        DestroyContainer(existing ? existing->id : ContainerName(spec.instance_id)));
  }
  if (absl::IsNotFound(last) && !absl::StrContains(last.message(), spec.image)) {
    return Annotate(last, absl::StrCat("image ", spec.image));
  }
  return last;
}

absl::StatusOr<std::string> PodmanDriver::Create(const json& request) {
  BERTH_ASSIGN_OR_RETURN(
      const json answer,
      client_.Call({.method = "POST", .path = "/containers/create", .body = request.dump()}));
  std::string id = StringOf(answer, "Id");
  if (id.empty()) return absl::UnavailableError("podman created a container without an id");
  return id;
}

absl::StatusOr<std::optional<PodmanDriver::Existing>> PodmanDriver::FindByName(
    const std::string& instance_id) {
  const absl::StatusOr<json> answer =
      client_.Call({.path = ContainerPath(ContainerName(instance_id), "/json")});
  if (absl::IsNotFound(answer.status())) return std::optional<Existing>();
  if (!answer.ok()) return answer.status();
  const json& labels = FieldOf(FieldOf(*answer, "Config"), "Labels");
  return std::optional<Existing>(
      {StringOf(*answer, "Id"), AttemptOf(labels), StatusFromInspection(*answer).phase});
}

absl::Status PodmanDriver::StartContainer(const std::string& id) {
  return client_.Call({.method = "POST", .path = ContainerPath(id, "/start")}).status();
}

absl::Status PodmanDriver::DestroyContainer(const std::string& id_or_name) {
  const absl::Status status =
      client_
          .Call({.method = "DELETE",
                 .path = ContainerPath(id_or_name, "?force=true&v=true&timeout=0"),
                 .timeout = kDriverCallMax})
          .status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status PodmanDriver::Stop(const InstanceHandle& handle, absl::Duration grace) {
  const int64_t grace_seconds = absl::ToInt64Seconds(absl::Ceil(grace, absl::Seconds(1)));
  const absl::Status status =
      client_
          .Call({.method = "POST",
                 .path = ContainerPath(handle.value,
                                       absl::StrCat("/stop?ignore=true&timeout=", grace_seconds)),
                 .timeout = grace + kDriverCallMax})
          .status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<InstanceStatus> PodmanDriver::Inspect(const InstanceHandle& handle) {
  const absl::StatusOr<json> answer = client_.Call({.path = ContainerPath(handle.value, "/json")});
  if (absl::IsNotFound(answer.status())) return InstanceStatus{};
  if (!answer.ok()) return answer.status();
  InstanceStatus status = StatusFromInspection(*answer);
  AddMemoryKill(handle.value, &status);
  return status;
}

absl::StatusOr<std::vector<InstanceRecord>> PodmanDriver::List() {
  const json filters = {{"label", {kInstanceLabel, absl::StrCat(kHostLabel, "=", host_)}}};
  BERTH_ASSIGN_OR_RETURN(
      const json answer,
      client_.Call({.path = absl::StrCat("/containers/json?all=true&", Filters(filters))}));
  std::vector<InstanceRecord> records;
  for (const json& container : answer) {
    std::optional<InstanceRecord> record = RecordFromListEntry(container);
    if (!record) continue;
    AddMemoryKill(record->handle.value, &record->status);
    records.push_back(*std::move(record));
  }
  return records;
}

absl::Status PodmanDriver::Destroy(const InstanceHandle& handle) {
  return DestroyContainer(handle.value);
}

absl::StatusOr<std::vector<std::string>> PodmanDriver::TailLog(const InstanceHandle& handle,
                                                               int lines_max) {
  std::vector<std::string> lines;
  BERTH_RETURN_IF_ERROR(
      FollowLog(handle, {.tail_lines_max = lines_max}, std::stop_token(), [&](const LogLine& line) {
        lines.push_back(line.text);
        return true;
      }));
  return lines;
}

absl::Status PodmanDriver::FollowLog(const InstanceHandle& handle, const LogQuery& query,
                                     std::stop_token stop,
                                     const std::function<bool(const LogLine&)>& on_line) {
  std::string path = ContainerPath(
      handle.value, absl::StrCat("/logs?stdout=true&stderr=true&timestamps=true&tail=",
                                 std::clamp(query.tail_lines_max, 0, kLogTailLinesMax),
                                 "&follow=", query.follow ? "true" : "false"));
  if (query.since) absl::StrAppend(&path, "&since=", absl::ToUnixSeconds(*query.since));
  LogFrames frames(on_line);
  bool wants_more = true;
  BERTH_RETURN_IF_ERROR(client_.Stream(
      {.path = path, .timeout = query.follow ? absl::InfiniteDuration() : kDriverCallMax}, stop,
      {.on_bytes = [&](absl::string_view bytes) { return wants_more = frames.Feed(bytes); }}));
  if (wants_more && !stop.stop_requested()) frames.Finish();
  return absl::OkStatus();
}

absl::StatusOr<ExecResult> PodmanDriver::Exec(const InstanceHandle& handle,
                                              const std::vector<std::string>& command,
                                              absl::Duration timeout) {
  BERTH_ASSIGN_OR_RETURN(const InstanceStatus status, Inspect(handle));
  if (status.phase != InstancePhase::kRunning) {
    return absl::FailedPreconditionError(
        absl::StrCat("the instance is ", PhaseName(status.phase), ", not running"));
  }
  // Podman's own exec leaves two processes and a session for five minutes after each call, too much
  // for a check every few seconds. What runs the container can exec as well.
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> arguments, RuntimeCommand());
  const TemporaryFile pid_file;
  arguments.insert(arguments.end(), {"exec", "--pid-file", pid_file.path(), handle.value});
  arguments.insert(arguments.end(), command.begin(), command.end());
  // Killing the runtime's client does not kill the command inside.
  BERTH_ASSIGN_OR_RETURN(
      ProgramResult result,
      RunProgram(arguments, {.timeout = timeout, .output_bytes_max = kExecOutputBytesMax},
                 [&] { KillProcessIn(pid_file.path()); }));
  return ExecResult{result.exit_code, std::move(result.output)};
}

absl::StatusOr<std::unique_ptr<ExecStream>> PodmanDriver::OpenExec(const InstanceHandle& handle,
                                                                   const ExecSpec& spec) {
  const absl::StatusOr<json> container =
      client_.Call({.path = ContainerPath(handle.value, "/json")});
  if (!container.ok() && !absl::IsNotFound(container.status())) return container.status();
  const InstanceStatus status =
      container.ok() ? StatusFromInspection(*container) : InstanceStatus{};
  if (status.phase != InstancePhase::kRunning) {
    return absl::FailedPreconditionError(
        absl::StrCat("the instance is ", PhaseName(status.phase), ", not running"));
  }
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> arguments, RuntimeCommand());
  const auto pid_file = std::make_shared<TemporaryFile>();
  const auto process_file = std::make_shared<TemporaryFile>();
  // By words alone, the runtime would tell the terminal inside the size of its own, which it passes
  // on, only once the command runs: one that asks at once would find none.
  const json config =
      json::parse(std::ifstream(StringOf(*container, "OCIConfigPath")), nullptr, false);
  const std::optional<json> process = ExecProcess(config, spec);
  if (!process.has_value()) {
    return absl::FailedPreconditionError("podman does not say how the instance runs");
  }
  std::ofstream(process_file->path()) << *process;
  arguments.insert(arguments.end(), {"exec", "--pid-file", pid_file->path(), "--process",
                                     process_file->path(), handle.value});
  return AttachedProgram::Start(arguments, spec,
                                [pid_file, process_file] { KillProcessIn(pid_file->path()); });
}

absl::StatusOr<std::vector<std::string>> PodmanDriver::RuntimeCommand() {
  {
    MutexLock lock(&mutex_);
    if (!runtime_command_.empty()) return runtime_command_;
  }
  BERTH_ASSIGN_OR_RETURN(const json info, client_.Call({.path = "/info"}));
  const json& host = FieldOf(info, "host");
  const std::string path = StringOf(FieldOf(host, "ociRuntime"), "path");
  if (path.empty()) return absl::FailedPreconditionError("podman does not name its OCI runtime");
  std::vector<std::string> command;
  // A rootless runtime's containers are in Podman's user namespace.
  if (BoolOf(FieldOf(host, "security"), "rootless")) command = {podman_program_, "unshare"};
  command.push_back(path);
  MutexLock lock(&mutex_);
  runtime_command_ = command;
  return command;
}

absl::StatusOr<std::vector<LocalImage>> PodmanDriver::LocalImages() {
  BERTH_ASSIGN_OR_RETURN(const json answer, client_.Call({.path = "/images/json"}));
  std::vector<LocalImage> images;
  for (const json& entry : answer) {
    LocalImage image;
    image.id = absl::StrCat("sha256:", StringOf(entry, "Id"));
    image.digest = StringOf(entry, "Digest");
    image.bytes = IntegerOf(entry, "Size");
    for (const json& name : FieldOf(entry, "Names")) {
      if (name.is_string()) image.names.push_back(name.get<std::string>());
    }
    images.push_back(std::move(image));
  }
  return images;
}

absl::StatusOr<DriverFacts> PodmanDriver::Facts() {
  BERTH_ASSIGN_OR_RETURN(const json info, client_.Call({.path = "/info"}));
  return FactsFromInfo(info);
}

absl::Status PodmanDriver::WatchEvents(std::stop_token stop, const DriverEvents& events) {
  // No label can be asked for: images have none.
  const json filters = {
      {"type", {"container", "image"}},
      {"event", {"died", "build", "import", "loadfromarchive", "pull", "remove", "tag", "untag"}}};
  const int64_t since = absl::ToUnixSeconds(clock_->Now() - kEventOverlap);
  JsonLines lines;
  BERTH_RETURN_IF_ERROR(client_.Stream(
      {.path = absl::StrCat("/events?stream=true&since=", since, "&", Filters(filters)),
       .timeout = absl::InfiniteDuration()},
      stop, {.on_begin = events.on_watching, .on_bytes = [&](absl::string_view bytes) {
               lines.Feed(bytes, [&](const json& event) {
                 if (StringOf(event, "Type") == "image") return events.on_images_changed();
                 const std::optional<InstanceExit> exit = ExitFromEvent(event, host_);
                 if (exit) events.on_exit(*exit);
               });
               return true;
             }}));
  if (stop.stop_requested()) return absl::OkStatus();
  return absl::UnavailableError("podman ended the stream of events");
}

}  // namespace berth
