#include "integration/harness/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

extern char** environ;

namespace berth::integration {
namespace {

constexpr size_t kOutputBytesMax = size_t{4} << 20;

// Memory instead of a pipe: the program never waits for a reader, and what it leaves behind may
// keep it open.
UniqueFd OutputFile(const char* name) {
  UniqueFd file(memfd_create(name, MFD_CLOEXEC));
  if (!file.valid()) throw std::runtime_error(absl::StrCat("memfd: ", std::strerror(errno)));
  return file;
}

std::string TextOf(const UniqueFd& file) {
  std::string text;
  char buffer[4096];
  while (text.size() < kOutputBytesMax) {
    const ssize_t count =
        pread(file.get(), buffer, sizeof(buffer), static_cast<off_t>(text.size()));
    if (count <= 0) break;
    text.append(buffer, static_cast<size_t>(count));
  }
  return text;
}

bool EndsWithin(const UniqueFd& exit, absl::Duration limit) {
  pollfd ended = {exit.get(), POLLIN, 0};
  return poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(limit))) > 0;
}

}  // namespace

Program::Program(const std::vector<std::string>& arguments)
    : name_(absl::StrJoin(arguments, " ")), out_(OutputFile("out")), err_(OutputFile("err")) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out_.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err_.get(), STDERR_FILENO);
  const int error = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error(absl::StrCat(name_, ": ", std::strerror(error)));
  exit_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
}

Program::~Program() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  Reap();
}

Finished Program::Wait(absl::Duration limit) {
  const bool ended = EndsWithin(exit_, limit);
  if (!ended) kill(pid_, SIGKILL);
  Finished finished;
  finished.exit_code = Reap();
  finished.out = TextOf(out_);
  finished.err = TextOf(err_);
  if (!ended) {
    throw std::runtime_error(absl::StrCat(name_, " did not end within ",
                                          absl::FormatDuration(limit), ":\n", finished.out,
                                          finished.err));
  }
  return finished;
}

bool Program::HasEnded() const { return pid_ == 0 || EndsWithin(exit_, absl::ZeroDuration()); }

std::string Program::OutSoFar() const { return TextOf(out_); }

std::string Program::ErrSoFar() const { return TextOf(err_); }

int Program::Reap() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

Finished Run(const std::vector<std::string>& arguments, absl::Duration limit) {
  return Program(arguments).Wait(limit);
}

std::string MustRun(const std::vector<std::string>& arguments, absl::Duration limit) {
  const Finished finished = Run(arguments, limit);
  if (finished.exit_code != 0) {
    throw std::runtime_error(absl::StrCat(absl::StrJoin(arguments, " "), " ended with ",
                                          finished.exit_code, ":\n", finished.out, finished.err));
  }
  return finished.out;
}

}  // namespace berth::integration
