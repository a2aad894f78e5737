#include "cli/secret_input.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "common/executor/thread_executor.h"
#include "common/files/atomic_file.h"
#include "common/net/unique_fd.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth::cli {
namespace {

// Puts a descriptor in the place of another one for as long as it lives.
class InPlaceOf {
 public:
  InPlaceOf(int standard, int fd) : standard_(standard), before_(dup(standard)) {
    REQUIRE(dup2(fd, standard) >= 0);
  }
  ~InPlaceOf() { dup2(before_.get(), standard_); }

 private:
  const int standard_;
  const UniqueFd before_;
};

// A terminal as standard input, with somebody in front of it who reads standard error.
class Person {
 public:
  Person() {
    std::array<int, 2> terminal;
    REQUIRE(openpty(&terminal[0], &terminal[1], nullptr, nullptr, nullptr) == 0);
    keyboard_.Reset(terminal[0]);
    terminal_.Reset(terminal[1]);
    std::array<int, 2> screen;
    REQUIRE(pipe(screen.data()) == 0);
    screen_.Reset(screen[0]);
    stderr_.Reset(screen[1]);
    stdin_in_place_.emplace(STDIN_FILENO, terminal_.get());
    stderr_in_place_.emplace(STDERR_FILENO, stderr_.get());
  }

  // Waits until something is asked, and answers that.
  void Answer(const std::string& text) {
    std::array<char, 100> question;
    if (read(screen_.get(), question.data(), question.size()) < 0) return;
    echoed_while_asked_ = Echoes();
    if (write(keyboard_.get(), text.data(), text.size()) < 0) return;
  }
  bool Echoes() const {
    termios settings = {};
    tcgetattr(terminal_.get(), &settings);
    return (settings.c_lflag & ECHO) != 0;
  }
  bool echoed_while_asked() const { return echoed_while_asked_; }

 private:
  UniqueFd keyboard_;
  UniqueFd terminal_;
  UniqueFd screen_;
  UniqueFd stderr_;
  std::optional<InPlaceOf> stdin_in_place_;
  std::optional<InPlaceOf> stderr_in_place_;
  bool echoed_while_asked_ = false;
};

TEST_CASE("a value is read as it is", "[cli][secret-input]") {
  berth::testing::TempDir folder;
  const std::string value =
      GENERATE(std::string(), std::string("a\0b\n", 4), std::string(kSecretBytesMax, 'x'));
  REQUIRE(WriteFileAtomically(folder.File("value"), value, 0600).ok());
  const auto read = ReadSecretFromFile(folder.File("value"));
  REQUIRE(read.status() == absl::OkStatus());
  CHECK(read->view() == value);
}

TEST_CASE("a value that comes in pieces is read whole", "[cli][secret-input]") {
  std::array<int, 2> pipe_fds;
  REQUIRE(pipe(pipe_fds.data()) == 0);
  const UniqueFd reader(pipe_fds[0]);
  UniqueFd writer(pipe_fds[1]);
  REQUIRE(WriteSecret(writer.get(), "hun").ok());
  REQUIRE(WriteSecret(writer.get(), "ter2").ok());
  writer.Reset();
  CHECK(ReadSecret(reader.get(), "the pipe")->view() == "hunter2");
}

TEST_CASE("what is no value is refused", "[cli][secret-input]") {
  berth::testing::TempDir folder;
  REQUIRE(
      WriteFileAtomically(folder.File("value"), std::string(kSecretBytesMax + 1, 'x'), 0600).ok());
  CHECK(absl::IsInvalidArgument(ReadSecretFromFile(folder.File("value")).status()));
  CHECK(absl::IsNotFound(ReadSecretFromFile(folder.File("missing")).status()));
  CHECK_FALSE(ReadSecretFromFile(folder.path()).ok());
}

TEST_CASE("what is typed is not shown, and the terminal is as before", "[cli][secret-input]") {
  const std::string line = GENERATE(std::string("hunter2"), std::string());
  absl::StatusOr<SecretBytes> typed;
  bool echoed_while_asked = false;
  bool echoes_afterwards = false;
  {
    Person person;
    ThreadExecutor hands("hands");
    hands.Post([&] { person.Answer(line + "\n"); });
    typed = AskForSecret("Value of token: ");
    hands.Stop();
    echoed_while_asked = person.echoed_while_asked();
    echoes_afterwards = person.Echoes();
  }
  REQUIRE(typed.status() == absl::OkStatus());
  CHECK(typed->view() == line);
  CHECK_FALSE(echoed_while_asked);
  CHECK(echoes_afterwards);
}

TEST_CASE("Ctrl-C leaves the terminal as before", "[cli][secret-input]") {
  sigset_t interrupt;
  sigset_t before;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  sigprocmask(SIG_BLOCK, &interrupt, &before);
  raise(SIGINT);
  absl::Status status;
  bool echoes_afterwards = false;
  {
    Person person;
    status = AskForSecret("Value of token: ").status();
    echoes_afterwards = person.Echoes();
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  CHECK(absl::IsCancelled(status));
  CHECK(echoes_afterwards);
}

TEST_CASE("what is no terminal is not asked", "[cli][secret-input]") {
  const UniqueFd null(open("/dev/null", O_RDONLY));
  const InPlaceOf in_place(STDIN_FILENO, null.get());
  CHECK(absl::IsFailedPrecondition(AskForSecret("").status()));
}

}  // namespace
}  // namespace berth::cli
