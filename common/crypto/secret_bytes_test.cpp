#include "common/crypto/secret_bytes.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <functional>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "common/testing/printers.h"

namespace berth {
namespace {

static_assert(!std::is_copy_constructible_v<SecretBytes>);
static_assert(!std::is_copy_assignable_v<SecretBytes>);
static_assert(std::is_nothrow_move_constructible_v<SecretBytes>);
static_assert(!std::is_convertible_v<SecretBytes, std::string>);
static_assert(!std::is_convertible_v<SecretBytes, absl::string_view>);

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };
static_assert(!Printable<SecretBytes>);

// Runs `step` in a process of its own and answers its exit code, or minus the signal that ended it.
int ExitCodeOf(const std::function<int()>& step) {
  const pid_t child = fork();
  if (child == 0) {
    // Otherwise Catch2 and the sanitizers would report the signal as theirs.
    std::signal(SIGSEGV, SIG_DFL);
    _exit(step());
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// As an attacker's write would be: where the compiler cannot see it.
void Write(uint8_t* where) { *static_cast<volatile uint8_t*>(where) = 1; }

TEST_CASE("new secret bytes are zeroes", "[crypto][secret-bytes]") {
  const SecretBytes bytes(5);
  CHECK(bytes.size() == 5);
  CHECK(bytes.view() == absl::string_view("\0\0\0\0\0", 5));
}

TEST_CASE("no bytes are no error", "[crypto][secret-bytes]") {
  CHECK(SecretBytes().empty());
  CHECK(SecretBytes(0).view().empty());
  CHECK(SecretBytes::CopyOf("").empty());
  CHECK(SecretBytes::Random(0).empty());
}

TEST_CASE("a move takes the bytes and copies none", "[crypto][secret-bytes]") {
  SecretBytes first = SecretBytes::CopyOf("secret");
  const uint8_t* where = first.data();
  SecretBytes second = std::move(first);
  CHECK(second.data() == where);
  CHECK(second.view() == "secret");
  SecretBytes third(3);
  third = std::move(second);
  CHECK(third.data() == where);
}

TEST_CASE("random bytes differ each time", "[crypto][secret-bytes]") {
  CHECK(SecretBytes::Random(32).view() != SecretBytes::Random(32).view());
}

TEST_CASE("a cut keeps the front", "[crypto][secret-bytes]") {
  SecretBytes bytes = SecretBytes::CopyOf("secret");
  bytes.Truncate(3);
  CHECK(bytes.view() == "sec");
  bytes.Truncate(3);
  CHECK(bytes.view() == "sec");
}

TEST_CASE("a write past the end ends the process", "[crypto][secret-bytes]") {
  SecretBytes bytes(5);
  CHECK(ExitCodeOf([&] {
          Write(bytes.data() + 4);
          return 7;
        }) == 7);
  CHECK(ExitCodeOf([&] {
          Write(bytes.data() + 5);
          return 7;
        }) == -SIGSEGV);
}

TEST_CASE("a write into read-only bytes ends the process", "[crypto][secret-bytes]") {
  SecretBytes bytes = SecretBytes::CopyOf("secret");
  bytes.MakeReadOnly();
  CHECK(bytes.view() == "secret");
  CHECK(ExitCodeOf([&] {
          Write(bytes.data());
          return 7;
        }) == -SIGSEGV);
}

TEST_CASE("the constant-time comparison compares", "[crypto][secret-bytes]") {
  CHECK(ConstantTimeEqual("", ""));
  CHECK(ConstantTimeEqual("abc", "abc"));
  CHECK_FALSE(ConstantTimeEqual("abc", "abd"));
  CHECK_FALSE(ConstantTimeEqual("abc", "ab"));
  CHECK_FALSE(ConstantTimeEqual("", "a"));
}

TEST_CASE("a locked-down process leaves no core and cannot be looked into",
          "[crypto][secret-bytes]") {
  CHECK(ExitCodeOf([] {
          if (!LockDownMemory().ok()) return 1;
          rlimit core = {1, 1};
          if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0) return 2;
          return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 3;
        }) == 0);
}

}  // namespace
}  // namespace berth
