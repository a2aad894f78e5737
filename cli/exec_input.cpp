#include "cli/exec_input.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "cli/raw_terminal.h"

namespace berth::cli {
namespace {

// Where SIGWINCH is read from; it is blocked from here on.
int OpenResizes() {
  sigset_t resized;
  sigemptyset(&resized);
  sigaddset(&resized, SIGWINCH);
  pthread_sigmask(SIG_BLOCK, &resized, nullptr);
  return signalfd(-1, &resized, SFD_CLOEXEC | SFD_NONBLOCK);
}

}  // namespace

ExecInput::ExecInput(int terminal)
    : terminal_(terminal),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      resizes_(terminal < 0 ? -1 : OpenResizes()) {}

ExecInput::~ExecInput() {
  const uint64_t one = 1;
  // Cannot fail: it is written once.
  if (write(stop_.get(), &one, sizeof(one)) < 0) return;
}

void ExecInput::Start(int fd, Send send) {
  thread_.Post([this, fd, send = std::move(send)] { Run(fd, send); });
}

void ExecInput::Run(int fd, const Send& send) const {
  std::string buffer(kPieceBytesMax, '\0');
  while (fd >= 0 || resizes_.valid()) {
    std::array<pollfd, 3> fds = {pollfd{stop_.get(), POLLIN, 0}, pollfd{fd, POLLIN, 0},
                                 pollfd{resizes_.get(), POLLIN, 0}};
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[0].revents != 0) return;
    scheduler::v1::ExecInput input;
    if (fds[2].revents != 0) {
      signalfd_siginfo info;
      if (read(resizes_.get(), &info, sizeof(info)) > 0) {
        *input.mutable_resize() = SizeOfTerminal(terminal_);
      }
    }
    if (fds[1].revents != 0) {
      const ssize_t count = read(fd, buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count > 0) {
        input.set_data(buffer.data(), static_cast<size_t>(count));
      } else {
        input.set_end(true);
        fd = -1;
      }
    }
    if (!send(input).ok()) return;
  }
}

}  // namespace berth::cli
