#include "agent/runtime/attached_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/runtime/program.h"
#include "common/status/status_macros.h"

extern char** environ;

namespace berth {
namespace {

constexpr size_t kReadBytesMax = size_t{16} << 10;
// What is kept to find out why nothing was run.
constexpr size_t kErrorHeadBytesMax = 1024;
constexpr char kEndOfTransmission = 4;
constexpr int kCannotRun = 126;
constexpr int kNoSuchProgram = 127;
// How long what an ended program left in its pipes is waited for: what it started may hold them
// open for ever.
constexpr int kLastWordsMilliseconds = 200;

absl::Status Failed(const char* what) {
  return absl::ResourceExhaustedError(absl::StrCat(what, ": ", std::strerror(errno)));
}

struct Pipe {
  UniqueFd reading;
  UniqueFd writing;
};

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Failed("pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void SetSize(int terminal, TerminalSize size) {
  winsize window = {};
  window.ws_col = static_cast<uint16_t>(std::clamp(size.columns, 1, 1000));
  window.ws_row = static_cast<uint16_t>(std::clamp(size.rows, 1, 1000));
  ioctl(terminal, TIOCSWINSZ, &window);
}

// A runtime that could not run a command says so on standard error and ends with a code of its own.
bool IsRuntimeError(absl::string_view error) {
  return absl::StrContains(error, "exec failed") || absl::StrContains(error, "error executing");
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExecStream>> AttachedProgram::Start(
    const std::vector<std::string>& arguments, const ExecSpec& spec,
    std::function<void()> before_kill) {
  const std::optional<std::string> program = FindProgram(arguments.at(0));
  if (!program) return absl::NotFoundError(absl::StrCat("there is no program ", arguments[0]));
  std::unique_ptr<AttachedProgram> attached(new AttachedProgram());
  attached->before_kill_ = std::move(before_kill);
  attached->killed_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  Pipe input;
  Pipe output;
  Pipe error;
  std::string terminal_name;
  short flags = POSIX_SPAWN_SETSIGMASK;
  absl::Status prepared = [&]() -> absl::Status {
    if (spec.terminal.has_value()) {
      attached->terminal_ = UniqueFd(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
      char name[64];
      if (!attached->terminal_.valid() || grantpt(attached->terminal_.get()) != 0 ||
          unlockpt(attached->terminal_.get()) != 0 ||
          ptsname_r(attached->terminal_.get(), name, sizeof(name)) != 0) {
        return Failed("a terminal");
      }
      terminal_name = name;
      SetSize(attached->terminal_.get(), *spec.terminal);
      // The first terminal that a new session opens is its own.
      flags |= POSIX_SPAWN_SETSID;
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, terminal_name.c_str(), O_RDWR, 0);
      posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
      posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO);
      return absl::OkStatus();
    }
    BERTH_ASSIGN_OR_RETURN(output, MakePipe());
    BERTH_ASSIGN_OR_RETURN(error, MakePipe());
    if (spec.input) {
      BERTH_ASSIGN_OR_RETURN(input, MakePipe());
      posix_spawn_file_actions_adddup2(&actions, input.reading.get(), STDIN_FILENO);
    } else {
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    }
    posix_spawn_file_actions_adddup2(&actions, output.writing.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, error.writing.get(), STDERR_FILENO);
    flags |= POSIX_SPAWN_SETPGROUP;
    posix_spawnattr_setpgroup(&attributes, 0);
    return absl::OkStatus();
  }();
  int spawned = 0;
  if (prepared.ok()) {
    posix_spawnattr_setflags(&attributes, flags);
    sigset_t no_signals;
    sigemptyset(&no_signals);
    posix_spawnattr_setsigmask(&attributes, &no_signals);
    std::vector<char*> argv;
    for (const std::string& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    spawned =
        posix_spawn(&attached->pid_, program->c_str(), &actions, &attributes, argv.data(), environ);
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  BERTH_RETURN_IF_ERROR(prepared);
  if (spawned != 0) {
    attached->pid_ = 0;
    return absl::FailedPreconditionError(absl::StrCat(*program, ": ", std::strerror(spawned)));
  }
  attached->exit_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, attached->pid_, 0)));
  if (spec.terminal.has_value()) {
    MutexLock lock(&attached->mutex_);
    attached->input_ = UniqueFd(fcntl(attached->terminal_.get(), F_DUPFD_CLOEXEC, 0));
  } else {
    for (const UniqueFd* fd : {&output.reading, &error.reading, &input.writing}) {
      if (fd->valid()) fcntl(fd->get(), F_SETFL, O_NONBLOCK);
    }
    attached->output_ = std::move(output.reading);
    attached->error_ = std::move(error.reading);
    MutexLock lock(&attached->mutex_);
    attached->input_ = std::move(input.writing);
  }
  return attached;
}

AttachedProgram::~AttachedProgram() {
  if (pid_ == 0) return;
  Kill();
  Reap();
}

std::optional<ExecStream::Piece> AttachedProgram::ReadFrom(UniqueFd* fd, LogLine::Source source,
                                                           size_t bytes_max) {
  std::string data(std::min(bytes_max, kReadBytesMax), '\0');
  const ssize_t count = read(fd->get(), data.data(), data.size());
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return std::nullopt;
  if (count <= 0) {
    // A terminal whose other end is closed is an error, which is its end.
    fd->Reset();
    return std::nullopt;
  }
  data.resize(static_cast<size_t>(count));
  if (error_head_.size() < kErrorHeadBytesMax) error_head_.append(data, 0, kErrorHeadBytesMax);
  return Piece{source, std::move(data)};
}

std::optional<ExecStream::Piece> AttachedProgram::Read(size_t bytes_max) {
  bool ended = false;
  while (terminal_.valid() || output_.valid() || error_.valid()) {
    std::array<pollfd, 5> fds = {pollfd{killed_.get(), POLLIN, 0},
                                 pollfd{terminal_.get(), POLLIN, 0},
                                 pollfd{output_.get(), POLLIN, 0}, pollfd{error_.get(), POLLIN, 0},
                                 pollfd{ended ? -1 : exit_.get(), POLLIN, 0}};
    const int ready = poll(fds.data(), fds.size(), ended ? kLastWordsMilliseconds : -1);
    if (ready < 0) continue;
    if (fds[0].revents != 0) return std::nullopt;
    if (ready == 0) break;
    UniqueFd* const from[] = {&terminal_, &output_, &error_};
    for (size_t i = 0; i < 3; ++i) {
      if (fds[i + 1].revents == 0) continue;
      const LogLine::Source source = i == 2 ? LogLine::Source::kError : LogLine::Source::kOutput;
      if (std::optional<Piece> piece = ReadFrom(from[i], source, bytes_max)) return piece;
    }
    ended = ended || fds[4].revents != 0;
  }
  return std::nullopt;
}

bool AttachedProgram::Write(absl::string_view data) {
  while (!data.empty()) {
    int fd = -1;
    {
      MutexLock lock(&mutex_);
      if (!input_.valid()) return false;
      fd = input_.get();
    }
    std::array<pollfd, 3> fds = {pollfd{killed_.get(), POLLIN, 0}, pollfd{exit_.get(), POLLIN, 0},
                                 pollfd{fd, POLLOUT, 0}};
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[0].revents != 0 || fds[1].revents != 0) return false;
    const ssize_t count = write(fd, data.data(), data.size());
    if (count < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return false;
    }
    data.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

void AttachedProgram::EndInput() {
  bool is_terminal = false;
  {
    MutexLock lock(&mutex_);
    is_terminal = input_.valid() && isatty(input_.get()) == 1;
    if (!is_terminal) input_.Reset();
  }
  if (is_terminal) (void)Write(absl::string_view(&kEndOfTransmission, 1));
}

void AttachedProgram::Resize(TerminalSize size) {
  MutexLock lock(&mutex_);
  if (input_.valid() && isatty(input_.get()) == 1) SetSize(input_.get(), size);
}

int AttachedProgram::ExitCode() {
  Reap();
  MutexLock lock(&mutex_);
  if (WIFSIGNALED(wait_status_)) return 128 + WTERMSIG(wait_status_);
  const int code = WEXITSTATUS(wait_status_);
  if (code == 0 || !IsRuntimeError(error_head_)) return code;
  return absl::StrContains(error_head_, "permission denied") ? kCannotRun : kNoSuchProgram;
}

void AttachedProgram::Kill() {
  {
    MutexLock lock(&mutex_);
    if (std::exchange(kill_asked_, true)) return;
    const uint64_t one = 1;
    if (write(killed_.get(), &one, sizeof(one)) < 0) return;
    if (reaped_) return;
  }
  // Not with the lock held: what it does may take a while.
  if (before_kill_) before_kill_();
  MutexLock lock(&mutex_);
  if (!reaped_) kill(-pid_, SIGKILL);
}

void AttachedProgram::Reap() {
  {
    MutexLock lock(&mutex_);
    if (reaped_) return;
  }
  pollfd ended = {exit_.get(), POLLIN, 0};
  while (poll(&ended, 1, -1) < 0) {
  }
  MutexLock lock(&mutex_);
  if (reaped_) return;
  while (waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
}

}  // namespace berth
