#include "agent/runtime/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/clock/system_clock.h"
#include "common/net/unique_fd.h"

extern char** environ;

namespace berth {
namespace {

// Where distributions keep what only root runs; not in every PATH.
constexpr char kAdministrationFolders[] = "/usr/local/sbin:/usr/sbin:/sbin";

enum class Pipe { kOpen, kClosed };

// Appends what there is to read now, up to the limit; what is beyond is read and dropped, so that
// the program does not block on a full pipe. `rounds_max` bounds how long a program that writes
// without end is listened to.
Pipe ReadWhatIsThere(int fd, size_t bytes_max, int rounds_max, std::string* output) {
  std::array<char, 4096> buffer;
  for (int round = 0; round < rounds_max; ++round) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count == 0) return Pipe::kClosed;
    if (count < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? Pipe::kOpen : Pipe::kClosed;
    }
    const size_t room = bytes_max - std::min(bytes_max, output->size());
    output->append(buffer.data(), std::min(room, static_cast<size_t>(count)));
  }
  return Pipe::kOpen;
}

// A pipe holds 16 of our buffers: enough to take what an ended program left in it.
constexpr int kReadRoundsMax = 64;

int ExitCode(int wait_status) {
  if (WIFSIGNALED(wait_status)) return 128 + WTERMSIG(wait_status);
  return WEXITSTATUS(wait_status);
}

}  // namespace

std::optional<std::string> FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (access(name.c_str(), X_OK) == 0) return name;
    return std::nullopt;
  }
  const char* path = std::getenv("PATH");
  const std::string folders =
      absl::StrCat(path == nullptr ? "/usr/bin:/bin" : path, ":", kAdministrationFolders);
  for (absl::string_view folder : absl::StrSplit(folders, ':', absl::SkipEmpty())) {
    std::string candidate = absl::StrCat(folder, "/", name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

absl::StatusOr<ProgramResult> RunProgram(const std::vector<std::string>& arguments,
                                         const ProgramLimits& limits,
                                         const std::function<void()>& before_kill) {
  const std::optional<std::string> program = FindProgram(arguments.at(0));
  if (!program) return absl::NotFoundError(absl::StrCat("there is no program ", arguments[0]));

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("pipe: ", std::strerror(errno)));
  }
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  fcntl(reading.get(), F_SETFL, O_NONBLOCK);

  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own, so that a kill reaches what the program started, too.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t no_signals;
  sigemptyset(&no_signals);
  posix_spawnattr_setsigmask(&attributes, &no_signals);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, program->c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  writing.Reset();
  if (error != 0) {
    return absl::FailedPreconditionError(absl::StrCat(*program, ": ", std::strerror(error)));
  }

  // The end of the program is waited for by its pidfd, not by the end of its output: a child that
  // it leaves behind may hold the pipe open for ever.
  const UniqueFd exit(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const SystemClock clock;
  const absl::Duration deadline = clock.Monotonic() + limits.timeout;
  ProgramResult result;
  bool timed_out = false;
  bool output_open = true;
  while (true) {
    const absl::Duration left = deadline - clock.Monotonic();
    if (left <= absl::ZeroDuration()) {
      timed_out = true;
      break;
    }
    std::array<pollfd, 2> fds = {pollfd{exit.get(), POLLIN, 0},
                                 pollfd{output_open ? reading.get() : -1, POLLIN, 0}};
    if (poll(fds.data(), fds.size(), static_cast<int>(absl::ToInt64Milliseconds(left) + 1)) < 0) {
      continue;
    }
    const bool exited = fds[0].revents != 0;
    if (output_open) {
      output_open = ReadWhatIsThere(reading.get(), limits.output_bytes_max, kReadRoundsMax,
                                    &result.output) == Pipe::kOpen;
    }
    if (exited) break;
  }
  if (timed_out) {
    if (before_kill) before_kill();
    kill(-pid, SIGKILL);
  }
  int wait_status = 0;
  while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  if (timed_out) {
    return absl::DeadlineExceededError(
        absl::StrCat(arguments[0], " did not end within ", absl::FormatDuration(limits.timeout)));
  }
  result.exit_code = ExitCode(wait_status);
  return result;
}

}  // namespace berth
