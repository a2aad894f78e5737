#pragma once

#include <signal.h>

#include "berth/scheduler/v1/scheduler.pb.h"

namespace berth::cli {

// A terminal that passes every key on unread for as long as this lives, Ctrl-C too. It is as before
// afterwards, also where SIGTERM or SIGHUP end the process. One at a time.
class RawTerminal {
 public:
  // A descriptor that is no terminal is left alone.
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  const int fd_;
  bool raw_ = false;
  struct sigaction before_terminate_ = {};
  struct sigaction before_hang_up_ = {};
};

// How large the terminal is; 80 by 24 where it does not say.
scheduler::v1::TerminalSize SizeOfTerminal(int fd);

}  // namespace berth::cli
