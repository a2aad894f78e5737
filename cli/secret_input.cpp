#include "cli/secret_input.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"

namespace berth::cli {
namespace {

// What the kernel keeps of a line that is typed; it drops the rest without a word.
constexpr size_t kTerminalLineMax = 4095;

// Hides what is typed, and turns Ctrl-C into a readable descriptor, for as long as it lives: a
// person who gives up must not be left with a terminal that shows nothing.
class HiddenTerminal {
 public:
  HiddenTerminal() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP}) {
      sigaddset(&signals, signal);
    }
    sigprocmask(SIG_BLOCK, &signals, &signals_before_);
    signals_.Reset(signalfd(-1, &signals, SFD_CLOEXEC));
    if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    // The line break is shown: the next output starts on a line of its own.
    hidden.c_lflag |= ECHONL;
    hidden_ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
  }
  ~HiddenTerminal() {
    if (hidden_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    signals_.Reset();
    sigprocmask(SIG_SETMASK, &signals_before_, nullptr);
  }
  HiddenTerminal(const HiddenTerminal&) = delete;
  HiddenTerminal& operator=(const HiddenTerminal&) = delete;

  bool hidden() const { return hidden_ && signals_.valid(); }

  // Waits for a line. kCancelled: a signal came first. It is taken: what it would do is not done.
  absl::Status Wait() {
    std::array<pollfd, 2> fds = {{{STDIN_FILENO, POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
    while (poll(fds.data(), fds.size(), -1) < 0) {
      if (errno != EINTR) return absl::ErrnoToStatus(errno, "cannot wait for the terminal");
    }
    if ((fds[1].revents & POLLIN) == 0) return absl::OkStatus();
    signalfd_siginfo taken;
    if (read(signals_.get(), &taken, sizeof(taken)) < 0) {
      return absl::ErrnoToStatus(errno, "cannot read a signal");
    }
    return absl::CancelledError("interrupted");
  }

 private:
  sigset_t signals_before_;
  UniqueFd signals_;
  termios before_ = {};
  bool hidden_ = false;
};

}  // namespace

absl::StatusOr<SecretBytes> ReadSecret(int fd, const std::string& source, size_t size_max) {
  // One more than allowed tells a value from something else.
  SecretBytes bytes(size_max + 1);
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t count = read(fd, bytes.data() + have, bytes.size() - have);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", source));
    if (count == 0) break;
    have += static_cast<size_t>(count);
  }
  if (have > size_max) {
    return absl::InvalidArgumentError(absl::StrCat(source, " has more than ", size_max,
                                                   " bytes, which are the most it may have"));
  }
  bytes.Truncate(have);
  return bytes;
}

absl::StatusOr<SecretBytes> ReadSecretFromFile(const std::string& path, size_t size_max) {
  if (path == "-") return ReadSecret(STDIN_FILENO, "standard input", size_max);
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  return ReadSecret(fd.get(), path, size_max);
}

absl::StatusOr<SecretBytes> AskForSecret(const std::string& question) {
  HiddenTerminal terminal;
  if (!terminal.hidden()) {
    return absl::FailedPreconditionError("the terminal does not hide what is typed");
  }
  std::cerr << question << std::flush;
  BERTH_RETURN_IF_ERROR(terminal.Wait());
  SecretBytes line(kTerminalLineMax + 1);
  const ssize_t count = read(STDIN_FILENO, line.data(), line.size());
  if (count < 0) return absl::ErrnoToStatus(errno, "cannot read from the terminal");
  auto size = static_cast<size_t>(count);
  const bool whole = size > 0 && line.data()[size - 1] == '\n';
  if (whole) --size;
  if (size >= kTerminalLineMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a terminal passes on at most ", kTerminalLineMax,
                     " characters of a line; put a longer value in a file"));
  }
  line.Truncate(size);
  return line;
}

absl::Status WriteSecret(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, "cannot write the value");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

}  // namespace berth::cli
