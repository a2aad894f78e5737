#include "cli/daemon_process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth::cli {
namespace {

using testing::TempDir;

constexpr absl::Duration kLong = absl::Seconds(30);

// A daemon in a folder of its own. Whatever of it runs in the end is killed.
struct Daemon {
  explicit Daemon(std::vector<std::string> arguments)
      : process{std::move(arguments), folder.File("pid"), folder.File("log")} {}
  ~Daemon() {
    if (const auto running = FindDaemon(process)) kill(running->pid, SIGKILL);
    while (waitpid(-1, nullptr, 0) > 0) {
    }
  }

  TempDir folder;
  DaemonProcess process;
};

TEST_CASE("a started daemon is found until it is stopped", "[cli][daemon]") {
  Daemon daemon({"/bin/sleep", "1000"});
  CHECK_FALSE(FindDaemon(daemon.process));
  const auto started = StartDaemon(daemon.process);
  REQUIRE(started.ok());
  CHECK_FALSE(EndsWithin(*started, absl::ZeroDuration()));
  const auto found = FindDaemon(daemon.process);
  REQUIRE(found);
  CHECK(found->pid == started->pid);
  CHECK(getsid(found->pid) == found->pid);

  const auto outcome = StopDaemon(daemon.process, *found, kLong);
  REQUIRE(outcome.ok());
  CHECK(*outcome == StopOutcome::kStopped);
  CHECK(access(daemon.process.pid_file.c_str(), F_OK) != 0);
  CHECK_FALSE(FindDaemon(daemon.process));
}

TEST_CASE("a daemon that does not want to end is killed", "[cli][daemon]") {
  Daemon daemon({"/bin/sh", "-c", "trap '' TERM; echo ready; while :; do wait; done"});
  const auto started = StartDaemon(daemon.process);
  REQUIRE(started.ok());
  // Its trap is set once it has printed.
  while (LogTail(daemon.process).empty() && !EndsWithin(*started, absl::Milliseconds(1))) {
  }
  const auto outcome = StopDaemon(daemon.process, *started, absl::Milliseconds(1));
  REQUIRE(outcome.ok());
  CHECK(*outcome == StopOutcome::kKilled);
}

TEST_CASE("a pid file that names another process counts for nothing", "[cli][daemon]") {
  Daemon daemon({"/bin/sleep", "1000"});
  for (const std::string& text : {absl::StrCat(getpid(), "\n"), std::string("999999999\n"),
                                  std::string("-1"), std::string("none"), std::string()}) {
    std::ofstream(daemon.process.pid_file) << text;
    CHECK_FALSE(FindDaemon(daemon.process));
  }
}

TEST_CASE("what a daemon printed before it ended can be shown", "[cli][daemon]") {
  Daemon daemon({"/bin/sh", "-c",
                 "pwd; for i in 1 2 3 4 5 6 7 8 9 10 11; do echo line $i >&2; done; exit 3"});
  const auto started = StartDaemon(daemon.process);
  REQUIRE(started.ok());
  REQUIRE(EndsWithin(*started, kLong));
  CHECK(LogTail(daemon.process) ==
        "  line 2\n  line 3\n  line 4\n  line 5\n  line 6\n  line 7\n  line 8\n  line 9\n"
        "  line 10\n  line 11");
  CHECK_FALSE(FindDaemon(daemon.process));
}

TEST_CASE("a program that is not there is an error with its name", "[cli][daemon]") {
  Daemon daemon({"/nonexistent/berth-server"});
  const auto started = StartDaemon(daemon.process);
  CHECK(started.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(started.status().message()), Catch::Contains("/nonexistent/berth-server"));
}

}  // namespace
}  // namespace berth::cli
