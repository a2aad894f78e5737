#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

// The longest any call of a driver takes, unless its own comment names another limit. Stop takes
// its grace on top.
inline constexpr absl::Duration kDriverCallMax = absl::Seconds(60);
// The longest a pull takes.
inline constexpr absl::Duration kImagePullMax = absl::Minutes(30);
// What is kept of an instance's log on the host, and of one line of it. What is longer is cut.
inline constexpr int64_t kLogBytesMax = int64_t{16} << 20;
inline constexpr size_t kLogLineBytesMax = size_t{64} << 10;
inline constexpr int kLogTailLinesMax = 10'000;
// What Exec keeps of a command's output; the beginning is kept.
inline constexpr size_t kExecOutputBytesMax = size_t{64} << 10;

// A host path that an instance sees as `target`.
struct Mount {
  enum class Access { kReadOnly, kReadWrite };
  enum class Owner {
    kUnchanged,
    kInstance,  // The source is this instance's alone: it is given to the user who runs in it.
  };

  std::string source;
  std::string target;
  Access access = Access::kReadOnly;
  Owner owner = Owner::kUnchanged;
};

// Memory that an instance sees as the folder `target`; its content goes with the instance.
struct TmpfsMount {
  std::string target;
  int64_t bytes_max = int64_t{64} << 20;
};

// Everything a driver needs to run an instance. Nothing in it is looked up elsewhere.
struct InstanceSpec {
  // Identifies the instance on this host; of [a-z0-9-] only, as names and labels are made of it.
  std::string instance_id;
  // Which try to run the instance this is: 1, 2, …. One attempt is started once.
  int64_t attempt = 1;
  // `name@sha256:…`; for an image made on this host `localhost/name@sha256:…` or an image id.
  std::string image;
  // Instead of the image's own entrypoint and arguments; empty keeps them.
  std::vector<std::string> command;
  std::map<std::string, std::string> env;
  std::string working_folder;  // Empty: the image's.
  // Share of a CPU in thousandths, and the most it may use; 0: no limit.
  int64_t cpu_milli = 0;
  int64_t memory_bytes_max = 0;  // 0: no limit.
  int64_t pids_max = 2048;
  // The network to attach to, and the instance's own address in it. Without a network the instance
  // has only its loopback; without an address the network chooses one.
  std::string network;
  std::string ipv6_address;
  std::vector<Mount> mounts;
  std::vector<TmpfsMount> tmpfs;
  std::string user;  // `uid`, `uid:gid` or names known in the image; empty: the image's.
  bool read_only_root = false;
  std::string stop_signal = "SIGTERM";
  absl::Duration stop_grace = absl::Seconds(10);
  // Kept with the instance and given back by List. `berth.` is the driver's own prefix.
  std::map<std::string, std::string> labels;
};

// Finds one attempt of an instance again, also from another process. Opaque outside its driver.
struct InstanceHandle {
  std::string value;

  friend bool operator==(const InstanceHandle&, const InstanceHandle&) = default;
};

enum class InstancePhase {
  kCreated,  // Known, never ran: what a crash between creating and starting leaves.
  kRunning,
  kExited,
  kGone,  // The driver knows nothing of it.
};

absl::string_view PhaseName(InstancePhase phase);

struct InstanceStatus {
  InstancePhase phase = InstancePhase::kGone;
  std::optional<absl::Time> started_at;
  std::optional<absl::Time> exited_at;
  std::optional<int> exit_code;  // Known once exited; 128 + n where signal n ended it.
  bool oom_killed = false;
  std::optional<int64_t> pid;  // As this host sees it, while running.
  std::string error;           // Why the runtime could not start it; empty when it did.
};

// One attempt that exists on this host, whatever became of it.
struct InstanceRecord {
  InstanceHandle handle;
  std::string instance_id;
  int64_t attempt = 0;
  std::map<std::string, std::string> labels;
  InstanceStatus status;
};

struct InstanceExit {
  InstanceHandle handle;
  std::string instance_id;
  int64_t attempt = 0;
};

struct ImageRequest {
  enum class Pull { kMissing, kAlways, kNever };

  std::string image;  // As in InstanceSpec.
  Pull pull = Pull::kMissing;
  // Off only for a registry that the user said to reach without TLS.
  bool tls_verify = true;
};

struct LocalImage {
  std::string id;      // `sha256:…` of the image's configuration.
  std::string digest;  // `sha256:…` of its manifest; what `name@digest` means.
  std::vector<std::string> names;
  int64_t bytes = 0;
};

struct LogLine {
  enum class Source { kOutput, kError };

  absl::Time time;
  Source source = Source::kOutput;
  std::string text;  // Without its line end.
};

struct LogQuery {
  int tail_lines_max = 100;                        // Lines of the past to begin with.
  std::optional<absl::Time> since = std::nullopt;  // No line before this time.
  // Goes on with new lines until the instance has exited; else ends with the newest line.
  bool follow = false;
};

struct ExecResult {
  int exit_code = 0;
  std::string output;  // Both streams, in no order between them; cut at kExecOutputBytesMax.
};

// How large a terminal is, in characters.
struct TerminalSize {
  int columns = 80;
  int rows = 24;
};

struct ExecSpec {
  std::vector<std::string> command;
  // It gets a terminal of this size, and all it prints is output; else pipes.
  std::optional<TerminalSize> terminal = std::nullopt;
  bool input = false;  // It reads what is written; else nothing.
};

// A command that runs inside an instance, and both ends of what it reads and prints. Read and Write
// block, each on a thread of its own; the others are safe from any thread. The command is killed
// with the object, if it runs still.
class ExecStream {
 public:
  struct Piece {
    LogLine::Source source = LogLine::Source::kOutput;
    std::string data;
  };

  virtual ~ExecStream() = default;

  // What it printed next, of at most `bytes_max`, which is more than 0; nullopt: it has ended and
  // all is read, or it was killed.
  virtual std::optional<Piece> Read(size_t bytes_max) = 0;
  // Returns once all is taken; false: it reads no more, or it was killed.
  virtual bool Write(absl::string_view data) = 0;
  // Nothing more is written. A terminal has no end: it is sent the character for it.
  virtual void EndInput() = 0;
  virtual void Resize(TerminalSize size) = 0;
  // Once Read has said that it ended: 128 + n where signal n ended it, 126 where it could not be
  // run, 127 where there is no such program.
  virtual int ExitCode() = 0;
  // Ends the command; Read and Write return at once.
  virtual void Kill() = 0;
};

// Something that keeps this host from running instances, or from running them as they should.
struct HostProblem {
  std::string what;
  std::string remedy;  // What to install or set.
};

struct DriverFacts {
  std::string version;
  int cgroup_version = 0;  // 1 also where both are mounted.
  std::string network_backend;
  bool rootless = false;
  std::vector<HostProblem> problems = {};
};

// What a driver tells of. None is empty.
struct DriverEvents {
  // Once, when nothing later can be missed: the caller asks then for what was earlier.
  std::function<void()> on_watching;
  // An instance exited. May be told twice.
  std::function<void(const InstanceExit&)> on_exit;
  // LocalImages() may answer something else from now on.
  std::function<void()> on_images_changed;
};

// Runs instances with one isolation technology (OCI container, microVM, plain process).
//
// Every call may be repeated after an agent crash, so each one is idempotent: starting an attempt
// that runs returns its handle, and destroying one that is gone succeeds. What there is can be
// found out from the host alone: List gives a freshly started agent everything to go on with, while
// the control plane may be unreachable.
//
// Calls block until they are done or their limit (above) has passed. They may be made from any
// thread, several at a time; calls about one instance are made one after another.
//
// Errors: kUnavailable: the runtime does not answer now, try again; kFailedPrecondition: this host
// lacks something, the message says what to install or do; kResourceExhausted: the host is full;
// kNotFound: the image or instance does not exist; kInvalidArgument: a spec that can never run;
// kDeadlineExceeded: a limit passed, and it is unknown what came of the call.
class Driver {
 public:
  virtual ~Driver() = default;

  // Makes the image present, pulling it when it is not, or always, as is asked for. An image of
  // this host (`localhost/…` or an id) is never pulled. kNotFound: no such image; the message has
  // its name and what the registry answered. kPermissionDenied: the registry wants a login.
  // kUnavailable: it does not answer. `on_progress`, if given, is called on this thread with short
  // sentences for people.
  virtual absl::Status EnsureImage(
      const ImageRequest& request,
      const std::function<void(absl::string_view)>& on_progress = nullptr) = 0;

  // Starts an attempt; the instance runs (or has already exited) when this returns. The image must
  // be present, else kNotFound.
  //
  // The same attempt again returns its handle and starts it only if it never ran. A newer attempt
  // takes the place of an older one, which is ended and destroyed. An older attempt than the one
  // here: kAborted.
  virtual absl::StatusOr<InstanceHandle> Start(const InstanceSpec& spec) = 0;

  // Asks the workload to end and, once `grace` has passed, ends it regardless. It has exited when
  // this returns OK; one that has exited, never ran or is gone is OK.
  virtual absl::Status Stop(const InstanceHandle& handle, absl::Duration grace) = 0;

  // An unknown handle is kGone, not an error.
  virtual absl::StatusOr<InstanceStatus> Inspect(const InstanceHandle& handle) = 0;

  // Every instance of Berth on this host that this driver made, in no particular order, including
  // what a crash left half-made.
  virtual absl::StatusOr<std::vector<InstanceRecord>> List() = 0;

  // Ends the instance if it runs and releases everything Start acquired, its log too. A handle that
  // is gone is OK.
  virtual absl::Status Destroy(const InstanceHandle& handle) = 0;

  // The newest lines of the log, oldest first; also of an instance that has exited.
  virtual absl::StatusOr<std::vector<std::string>> TailLog(const InstanceHandle& handle,
                                                           int lines_max) = 0;

  // Calls `on_line` on this thread for each line. OK when the log ended, `on_line` said false, or
  // `stop` was requested, which ends the call at once. Has no time limit: whoever follows a log
  // gives it a thread of its own.
  virtual absl::Status FollowLog(const InstanceHandle& handle, const LogQuery& query,
                                 std::stop_token stop,
                                 const std::function<bool(const LogLine&)>& on_line) = 0;

  // Runs a command inside a running instance, with the instance's own environment and user.
  // kDeadlineExceeded: `timeout` passed; the command was killed. kFailedPrecondition: the instance
  // does not run. A program that cannot be run there is a result with a code other than 0.
  virtual absl::StatusOr<ExecResult> Exec(const InstanceHandle& handle,
                                          const std::vector<std::string>& command,
                                          absl::Duration timeout) = 0;

  // Begins to run a command inside a running instance for a person, with the instance's own
  // environment and user. kFailedPrecondition: the instance does not run.
  virtual absl::StatusOr<std::unique_ptr<ExecStream>> OpenExec(const InstanceHandle& handle,
                                                               const ExecSpec& spec) = 0;

  virtual absl::StatusOr<std::vector<LocalImage>> LocalImages() = 0;

  virtual absl::StatusOr<DriverFacts> Facts() = 0;

  // Tells on this thread what happens, so that nobody polls. Returns OK when `stop` was requested,
  // and kUnavailable when the runtime went away: the caller tries again.
  virtual absl::Status WatchEvents(std::stop_token stop, const DriverEvents& events) = 0;
};

}  // namespace berth
