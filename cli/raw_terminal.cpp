#include "cli/raw_terminal.h"

#include <sys/ioctl.h>
#include <termios.h>

namespace berth::cli {
namespace {

constexpr uint32_t kColumnsDefault = 80;
constexpr uint32_t kRowsDefault = 24;

// For the signal handler, which may use nothing else.
int g_fd = -1;
termios g_before = {};

void RestoreAndEnd(int number) {
  tcsetattr(g_fd, TCSANOW, &g_before);
  signal(number, SIG_DFL);
  raise(number);
}

}  // namespace

RawTerminal::RawTerminal(int fd) : fd_(fd) {
  if (tcgetattr(fd_, &g_before) != 0) return;
  g_fd = fd_;
  struct sigaction action = {};
  action.sa_handler = RestoreAndEnd;
  sigaction(SIGTERM, &action, &before_terminate_);
  sigaction(SIGHUP, &action, &before_hang_up_);
  termios raw = g_before;
  cfmakeraw(&raw);
  tcsetattr(fd_, TCSADRAIN, &raw);
  raw_ = true;
}

RawTerminal::~RawTerminal() {
  if (!raw_) return;
  tcsetattr(fd_, TCSADRAIN, &g_before);
  sigaction(SIGTERM, &before_terminate_, nullptr);
  sigaction(SIGHUP, &before_hang_up_, nullptr);
  g_fd = -1;
}

scheduler::v1::TerminalSize SizeOfTerminal(int fd) {
  scheduler::v1::TerminalSize size;
  size.set_columns(kColumnsDefault);
  size.set_rows(kRowsDefault);
  winsize window = {};
  if (ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col != 0 && window.ws_row != 0) {
    size.set_columns(window.ws_col);
    size.set_rows(window.ws_row);
  }
  return size;
}

}  // namespace berth::cli
