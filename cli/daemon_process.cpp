#include "cli/daemon_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/wording.h"
#include "common/clock/system_clock.h"
#include "common/files/atomic_file.h"
#include "common/status/status_macros.h"

extern char** environ;

namespace berth::cli {
namespace {

constexpr size_t kPidFileBytesMax = 32;
constexpr size_t kCommandLineBytesMax = 64 * 1024;
constexpr size_t kLogTailBytes = 8 * 1024;
constexpr size_t kLogTailLines = 10;
constexpr absl::Duration kKillWait = absl::Seconds(10);
constexpr mode_t kPidFileMode = 0644;
constexpr mode_t kLogMode = 0600;

// The bytes of a file of /proc, which has no size to be read by.
std::string ReadProc(const std::string& path, size_t bytes_max) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string bytes;
  char buffer[4096];
  while (fd.valid() && bytes.size() < bytes_max) {
    const ssize_t count = read(fd.get(), buffer, sizeof(buffer));
    if (count <= 0) break;
    bytes.append(buffer, static_cast<size_t>(count));
  }
  return bytes;
}

// As /proc shows them: each followed by a zero byte.
std::string CommandLineOf(const std::vector<std::string>& arguments) {
  std::string line;
  for (const std::string& argument : arguments) line.append(argument).push_back('\0');
  return line;
}

UniqueFd OpenProcess(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace

std::optional<RunningProcess> FindDaemon(const DaemonProcess& daemon) {
  const absl::StatusOr<std::string> text = ReadFile(daemon.pid_file, kPidFileBytesMax);
  pid_t pid = 0;
  if (!text.ok() || !absl::SimpleAtoi(*text, &pid) || pid <= 0) return std::nullopt;
  // Opened before it is looked at: afterwards the pid cannot come to mean another process.
  RunningProcess process{pid, OpenProcess(pid)};
  if (!process.exit.valid()) return std::nullopt;
  const std::string command_line =
      ReadProc(absl::StrCat("/proc/", pid, "/cmdline"), kCommandLineBytesMax);
  if (command_line != CommandLineOf(daemon.arguments)) return std::nullopt;
  return process;
}

absl::StatusOr<RunningProcess> StartDaemon(const DaemonProcess& daemon) {
  std::vector<char*> argv;
  for (const std::string& argument : daemon.arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, daemon.log_file.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, kLogMode);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawn_file_actions_addchdir_np(&actions, "/");
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, argv.front(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot start ", daemon.arguments.front(), ": ", std::strerror(error)));
  }
  // It is this process's child, so the pid is its own until it is waited for.
  RunningProcess process{pid, OpenProcess(pid)};
  BERTH_RETURN_IF_ERROR(
      WriteFileAtomically(daemon.pid_file, absl::StrCat(pid, "\n"), kPidFileMode));
  return process;
}

bool EndsWithin(const RunningProcess& process, absl::Duration wait) {
  const SystemClock clock;
  const absl::Duration deadline = clock.Monotonic() + wait;
  while (true) {
    const absl::Duration left = std::max(deadline - clock.Monotonic(), absl::ZeroDuration());
    pollfd ended = {process.exit.get(), POLLIN, 0};
    const int64_t milliseconds = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
    const int count = poll(&ended, 1, static_cast<int>(milliseconds));
    if (count > 0) return true;
    if (count == 0 && left == absl::ZeroDuration()) return false;
  }
}

absl::StatusOr<StopOutcome> StopDaemon(const DaemonProcess& daemon, const RunningProcess& process,
                                       absl::Duration grace) {
  const auto signal = [&](int number) {
    return syscall(SYS_pidfd_send_signal, process.exit.get(), number, nullptr, 0) == 0 ||
           errno == ESRCH;
  };
  StopOutcome outcome = StopOutcome::kStopped;
  if (!signal(SIGTERM)) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot stop process ", process.pid, ": ", std::strerror(errno)));
  }
  if (!EndsWithin(process, grace)) {
    signal(SIGKILL);
    outcome = StopOutcome::kKilled;
    if (!EndsWithin(process, kKillWait)) {
      return absl::InternalError(absl::StrCat("process ", process.pid, " does not end"));
    }
  }
  unlink(daemon.pid_file.c_str());
  return outcome;
}

std::string LogTail(const DaemonProcess& daemon) {
  const UniqueFd fd(open(daemon.log_file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return "";
  const off_t size = lseek(fd.get(), 0, SEEK_END);
  const off_t start = std::max<off_t>(0, size - static_cast<off_t>(kLogTailBytes));
  std::string bytes(kLogTailBytes, '\0');
  const ssize_t count = pread(fd.get(), bytes.data(), bytes.size(), start);
  bytes.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  std::vector<std::string> lines = absl::StrSplit(bytes, '\n', absl::SkipWhitespace());
  if (lines.size() > kLogTailLines) lines.erase(lines.begin(), lines.end() - kLogTailLines);
  std::string tail;
  for (const std::string& line : lines) absl::StrAppend(&tail, "  ", Printable(line), "\n");
  return std::string(absl::StripTrailingAsciiWhitespace(tail));
}

}  // namespace berth::cli
