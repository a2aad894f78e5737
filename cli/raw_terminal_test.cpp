#include "cli/raw_terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "common/net/unique_fd.h"

namespace berth::cli {
namespace {

struct Terminal {
  Terminal() {
    REQUIRE(grantpt(outer.get()) == 0);
    REQUIRE(unlockpt(outer.get()) == 0);
    inner = UniqueFd(open(ptsname(outer.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    REQUIRE(inner.valid());
  }
  // Whether lines are edited and Ctrl-C is a signal.
  bool IsCooked() const {
    termios now = {};
    REQUIRE(tcgetattr(inner.get(), &now) == 0);
    return (now.c_lflag & ICANON) != 0 && (now.c_lflag & ISIG) != 0;
  }

  const UniqueFd outer{posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
  UniqueFd inner;
};

TEST_CASE("a terminal is raw for a while, and as before afterwards", "[cli][raw-terminal]") {
  const Terminal terminal;
  REQUIRE(terminal.IsCooked());
  {
    const RawTerminal raw(terminal.inner.get());
    CHECK_FALSE(terminal.IsCooked());
  }
  CHECK(terminal.IsCooked());
}

TEST_CASE("a terminal is as before when a signal ends the process", "[cli][raw-terminal]") {
  const int number = GENERATE(SIGTERM, SIGHUP);
  const Terminal terminal;
  const pid_t child = fork();
  if (child == 0) {
    const RawTerminal raw(terminal.inner.get());
    raise(number);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == number);
  CHECK(terminal.IsCooked());
}

TEST_CASE("what is no terminal is left alone, and has the usual size", "[cli][raw-terminal]") {
  const UniqueFd file(open("/dev/null", O_RDWR | O_CLOEXEC));
  const RawTerminal raw(file.get());
  CHECK(SizeOfTerminal(file.get()).columns() == 80);
  CHECK(SizeOfTerminal(file.get()).rows() == 24);
}

TEST_CASE("a terminal says how large it is", "[cli][raw-terminal]") {
  const Terminal terminal;
  winsize window = {};
  window.ws_col = 100;
  window.ws_row = 30;
  REQUIRE(ioctl(terminal.inner.get(), TIOCSWINSZ, &window) == 0);
  CHECK(SizeOfTerminal(terminal.inner.get()).columns() == 100);
  CHECK(SizeOfTerminal(terminal.inner.get()).rows() == 30);
}

}  // namespace
}  // namespace berth::cli
