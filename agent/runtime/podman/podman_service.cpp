#include "agent/runtime/podman/podman_service.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/runtime/program.h"
#include "common/check/check.h"
#include "common/libpod/libpod_client.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"

extern char** environ;

namespace berth {
namespace {

constexpr absl::Duration kPingMax = absl::Seconds(10);
constexpr int kListenBacklog = 128;
// What is shown of a log where the service did not come up, and the size at which a new service
// begins a new log.
constexpr std::streamoff kLogTailBytes = 600;
constexpr std::uintmax_t kLogBytesMaxAtStart = std::uintmax_t{1} << 20;

absl::Status SystemError(absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", std::strerror(errno)));
}

absl::Status MakeFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat("folder ", folder, ": ", error.message()));
  }
  return absl::OkStatus();
}

// A socket that listens on `path`, where nobody else does any more.
absl::StatusOr<UniqueFd> Listen(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::FailedPreconditionError(absl::StrCat("socket path ", path, " is longer than ",
                                                      sizeof(address.sun_path) - 1, " bytes"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return SystemError("socket");
  unlink(path.c_str());
  // Who may connect is root on this host: nobody else gets in between bind and a later chmod.
  if (fchmod(socket.get(), 0600) != 0 ||
      bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      chmod(path.c_str(), 0600) != 0 || listen(socket.get(), kListenBacklog) != 0) {
    return SystemError(absl::StrCat("listen on ", path));
  }
  return socket;
}

// When the process began, in ticks since the machine's start: with its pid, its identity.
std::optional<int64_t> StartTicks(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string text;
  std::getline(file, text);
  // The second field is a name in parentheses that may hold anything.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<std::string> fields =
      absl::StrSplit(absl::string_view(text).substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kStartTime = 22 - 3;  // proc(5) counts from 1; two fields are cut off.
  int64_t ticks = 0;
  if (fields.size() <= kStartTime || !absl::SimpleAtoi(fields[kStartTime], &ticks)) {
    return std::nullopt;
  }
  return ticks;
}

std::string TailOfFile(const std::string& path) {
  std::ifstream file(path, std::ios::ate);
  const std::streamoff size = file.tellg();
  file.seekg(std::max<std::streamoff>(0, size - kLogTailBytes));
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return std::string(absl::StripAsciiWhitespace(text));
}

// What the child needs between fork and exec, made before: it may not allocate there.
struct Command {
  std::string program;
  std::string folder;  // Where it runs: conmon leaves a file where it is when memory runs out.
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  char* listen_pid_digits = nullptr;  // Inside `environment`.

  static constexpr size_t kPidDigits = 10;
};

void SetListenPid(char* digits, pid_t pid) {
  for (size_t i = Command::kPidDigits; i-- > 0; pid /= 10) {
    digits[i] = static_cast<char>('0' + pid % 10);
  }
}

Command MakeCommand(const std::string& program, const PodmanServiceSettings& settings) {
  Command command;
  command.program = program;
  command.folder = settings.state_folder;
  command.arguments = {settings.program};
  command.arguments.insert(command.arguments.end(), settings.arguments.begin(),
                           settings.arguments.end());
  for (const char* argument : {"system", "service", "--time", "0"}) {
    command.arguments.push_back(argument);
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const absl::string_view text = *variable;
    if (absl::StartsWith(text, "LISTEN_") || absl::StartsWith(text, "NOTIFY_SOCKET=")) continue;
    if (!settings.containers_conf.empty() && absl::StartsWith(text, "CONTAINERS_CONF=")) continue;
    command.environment.push_back(std::string(text));
  }
  if (!settings.containers_conf.empty()) {
    command.environment.push_back(absl::StrCat("CONTAINERS_CONF=", settings.containers_conf));
  }
  command.environment.push_back("LISTEN_FDS=1");
  const absl::string_view listen_pid = "LISTEN_PID=";
  command.environment.push_back(absl::StrCat(listen_pid, std::string(Command::kPidDigits, '0')));
  command.listen_pid_digits = command.environment.back().data() + listen_pid.size();
  for (std::string& argument : command.arguments) command.argv.push_back(argument.data());
  for (std::string& variable : command.environment) command.envp.push_back(variable.data());
  command.argv.push_back(nullptr);
  command.envp.push_back(nullptr);
  return command;
}

// What the service's process tells its starter before it becomes Podman, or instead.
struct StartReport {
  pid_t pid = 0;
  int error = 0;
};

// Runs in the grandchild, between fork and exec: only calls that are safe there.
[[noreturn]] void BecomePodman(const Command& command, int listener, int log, int report_pipe) {
  constexpr int kFirstListenFd = 3;  // sd_listen_fds(3)
  setsid();
  sigset_t no_signals;
  sigemptyset(&no_signals);
  sigprocmask(SIG_SETMASK, &no_signals, nullptr);
  signal(SIGPIPE, SIG_DFL);
  if (chdir(command.folder.c_str()) != 0) _exit(127);
  dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  dup2(listener, kFirstListenFd);
  StartReport report{getpid(), 0};
  SetListenPid(command.listen_pid_digits, report.pid);
  if (write(report_pipe, &report, sizeof(report)) == sizeof(report)) {
    execve(command.program.c_str(), command.argv.data(), command.envp.data());
    report.error = errno;
    [[maybe_unused]] const ssize_t written = write(report_pipe, &report, sizeof(report));
  }
  _exit(127);
}

// A copy of the descriptor that dup2 onto the first few cannot hit.
UniqueFd MoveUp(const UniqueFd& fd) {
  constexpr int kAboveListenFds = 10;
  return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, kAboveListenFds));
}

// Starts the command as a process that is nobody's child, so that nobody has to reap it.
absl::StatusOr<pid_t> StartDetached(const Command& command, const UniqueFd& listener,
                                    const UniqueFd& log) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError("pipe");
  const UniqueFd reading(ends[0]);
  UniqueFd low_writing(ends[1]);
  UniqueFd writing = MoveUp(low_writing);
  low_writing.Reset();
  const UniqueFd high_listener = MoveUp(listener);
  const UniqueFd high_log = MoveUp(log);
  const pid_t child = fork();
  if (child < 0) return SystemError("fork");
  if (child == 0) {
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      BecomePodman(command, high_listener.get(), high_log.get(), writing.get());
    }
    _exit(grandchild < 0 ? 1 : 0);
  }
  writing.Reset();
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  StartReport report;
  if (read(reading.get(), &report, sizeof(report)) != sizeof(report)) {
    return absl::ResourceExhaustedError("podman's process cannot be made");
  }
  // A second report comes only if exec failed; else exec closes the pipe.
  StartReport failure;
  if (read(reading.get(), &failure, sizeof(failure)) == sizeof(failure)) {
    return absl::FailedPreconditionError(
        absl::StrCat(command.program, ": ", std::strerror(failure.error)));
  }
  return report.pid;
}

}  // namespace

absl::Status PodmanService::EnsureRunning() {
  MutexLock lock(&mutex_);
  const absl::Status answer = Ping(kPingMax);
  if (answer.code() != absl::StatusCode::kUnavailable) return answer;
  return StartLocked();
}

absl::Status PodmanService::Ping(absl::Duration timeout) const {
  LibpodClient client(settings_.socket_path);
  absl::Status status = client.Stream({.path = "/_ping", .timeout = timeout}, std::stop_token(),
                                      {.on_bytes = [](absl::string_view) { return true; }});
  if (status.code() == absl::StatusCode::kDeadlineExceeded) {
    return absl::DeadlineExceededError(absl::StrCat("podman accepts connections on ",
                                                    settings_.socket_path, " and does not answer"));
  }
  return status;
}

absl::Status PodmanService::StartLocked() {
  const std::optional<std::string> program = FindProgram(settings_.program);
  if (!program) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no program ", settings_.program, ": install podman"));
  }
  BERTH_RETURN_IF_ERROR(MakeFolder(settings_.state_folder));
  BERTH_RETURN_IF_ERROR(
      MakeFolder(std::filesystem::path(settings_.socket_path).parent_path().string()));
  // Another process may be here at the same moment.
  const UniqueFd process_lock(
      open((settings_.state_folder + "/podman.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!process_lock.valid() || flock(process_lock.get(), LOCK_EX) != 0) {
    return SystemError(absl::StrCat("lock in ", settings_.state_folder));
  }
  if (Ping(kPingMax).ok()) return absl::OkStatus();

  std::error_code no_log_yet;
  const bool log_is_large =
      std::filesystem::file_size(LogFile(), no_log_yet) > kLogBytesMaxAtStart && !no_log_yet;
  const UniqueFd log(open(LogFile().c_str(),
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (log_is_large ? O_TRUNC : 0),
                          0600));
  if (!log.valid()) return SystemError(LogFile());
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener, Listen(settings_.socket_path));
  const Command command = MakeCommand(*program, settings_);
  BERTH_ASSIGN_OR_RETURN(const pid_t pid, StartDetached(command, listener, log));
  // With the only listening descriptor in Podman's hands, a connection fails as soon as it ends.
  listener.Reset();
  std::ofstream(PidFile(), std::ios::trunc) << pid << ' ' << StartTicks(pid).value_or(0) << '\n';

  const absl::Status answer = Ping(kPodmanStartMax);
  if (answer.ok()) return answer;
  return absl::FailedPreconditionError(
      absl::StrCat("podman's service did not come up: ", TailOfFile(LogFile())));
}

std::optional<pid_t> PodmanService::RunningPid() const {
  std::ifstream file(PidFile());
  pid_t pid = 0;
  int64_t start_ticks = 0;
  if (!(file >> pid >> start_ticks) || StartTicks(pid) != start_ticks) return std::nullopt;
  return pid;
}

absl::Status PodmanService::Stop() {
  MutexLock lock(&mutex_);
  const std::optional<pid_t> pid = RunningPid();
  if (!pid) return absl::OkStatus();
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, *pid, 0)));
  if (!process.valid()) return absl::OkStatus();
  kill(*pid, SIGTERM);
  pollfd exit{process.get(), POLLIN, 0};
  if (poll(&exit, 1, static_cast<int>(absl::ToInt64Milliseconds(kPodmanStopMax))) == 0) {
    kill(*pid, SIGKILL);
  }
  unlink(PidFile().c_str());
  return absl::OkStatus();
}

}  // namespace berth
