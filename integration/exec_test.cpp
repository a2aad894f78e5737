// `berth exec`: commands inside instances, as scripts and people run them.

#include <signal.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/runtime/program.h"
#include "common/testing/eventually.h"
#include "common/testing/temp_dir.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/platform.h"
#include "integration/harness/serving.h"

namespace berth::integration {
namespace {

using Catch::Contains;

constexpr int kBerthError = 125;
constexpr int kNoSuchProgram = 127;
// By the connections' keepalive, with time to spare.
constexpr absl::Duration kGoneNoticedMax = absl::Seconds(60);

// The hello example with a shell and the tools it needs.
void BuildHelloWithShell(const Platform& platform) {
  const testing::TempDir context;
  std::filesystem::copy_file(platform.Binary("hello"), context.File("hello"));
  const std::filesystem::path bin = context.File("bin");
  std::filesystem::create_directory(bin);
  std::filesystem::copy_file("/bin/busybox", bin / "busybox");
  for (const char* tool : {"cat", "sh", "sleep", "stty", "tty"}) {
    std::filesystem::create_symlink("busybox", bin / tool);
  }
  std::ofstream(context.File("Containerfile"))
      << "FROM scratch\nCOPY hello /hello\nCOPY bin /bin\nENTRYPOINT [\"/hello\"]\n";
  MustRun({"podman", "build", "--quiet", "--tag", "localhost/hello", context.path()});
}

// One app, with a shell in its image beside its program.
Platform& Shared() {
  static Platform platform;
  static const bool is_up = [] {
    platform.Up();
    BuildHelloWithShell(platform);
    platform.BerthJson({"deploy", platform.WriteManifest("hello", HelloManifest().ToYaml())});
    return true;
  }();
  (void)is_up;
  return platform;
}

// What a shell on this machine makes of a line in which $BERTH is the command line.
ProgramResult Shell(const std::string& line) {
  const auto result =
      RunProgram({"sh", "-c", absl::StrCat("BERTH='", Shared().Binary("berth"), "'; ", line)},
                 {.timeout = absl::Seconds(60)});
  REQUIRE(result.ok());
  return *result;
}

TEST_CASE("a command's output and exit code are the command line's") {
  Finished finished = Shared().Berth(
      {"exec", "--app", "hello", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7"});
  CHECK(finished.exit_code == 7);
  CHECK(finished.out == "out\n");
  CHECK(finished.err == "err\n");
  const std::string id = Shared().Instances("hello").front().id;
  finished = Shared().Berth({"exec", "--app", "hello", id, "--", "sh", "-c", "exit 0"});
  CHECK(finished.exit_code == 0);
}

TEST_CASE("a command reads what is piped in, and nothing gets lost") {
  const ProgramResult result = Shell(
      "head -c 3000000 /dev/zero | tr '\\0' x | "
      "$BERTH exec --app hello -i web -- sh -c 'cat' | tr -d '\\n' | wc -c");
  INFO(result.output);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Contains("3000000"));
}

TEST_CASE("a command has a terminal where one is asked for") {
  // script gives the command line a terminal.
  const ProgramResult result = Shell(
      "script -qec \"stty rows 33 cols 111; $BERTH exec --app hello -it web -- "
      "sh -c 'stty size; tty; exit 5'\" /dev/null");
  INFO(result.output);
  CHECK(result.exit_code == 5);
  CHECK_THAT(result.output, Contains("/dev/pts/") && Contains("33 111"));
  CHECK(Shell("$BERTH exec --app hello -it web -- sh -c true < /dev/null").exit_code == 2);
}

TEST_CASE("what cannot be run says so by its exit code") {
  CHECK(Shared().Berth({"exec", "--app", "hello", "web", "--", "/no-such-program"}).exit_code ==
        kNoSuchProgram);
  const Finished nobody = Shared().Berth({"exec", "--app", "hello", "worker", "--", "sh"});
  CHECK(nobody.exit_code == kBerthError);
  CHECK_THAT(nobody.err, Contains("worker"));
}

TEST_CASE("a command ends with whoever ran it") {
  const std::string mark = "sleep 98765";
  auto runs = [&mark] { return Run({"pgrep", "--full", "^" + mark}).exit_code == 0; };
  {
    const Program command =
        Shared().StartBerth({"exec", "--app", "hello", "web", "--", "sh", "-c", "exec " + mark});
    REQUIRE(testing::Eventually(absl::Seconds(20), runs));
  }
  CHECK(testing::Eventually(absl::Seconds(20), [&] { return !runs(); }));
}

TEST_CASE("a command whose host is gone without a word ends, whatever was sent to it") {
  // It reads nothing, so that what it is sent is never taken.
  Program command({"sh", "-c",
                   absl::StrCat("yes | ", Shared().Binary("berth"),
                                " exec --app hello -i web -- sh -c 'echo begun; sleep 98766'")});
  REQUIRE(testing::Eventually(absl::Seconds(20), [&] { return command.OutSoFar() == "begun\n"; }));
  const pid_t agent = Shared().PidOf("agent");
  kill(agent, SIGSTOP);
  const bool ended = testing::Eventually(kGoneNoticedMax, [&] { return command.HasEnded(); });
  kill(agent, SIGCONT);
  REQUIRE(ended);
  const Finished finished = command.Wait(absl::Seconds(1));
  CHECK(finished.exit_code == kBerthError);
  CHECK_THAT(finished.err, Contains("has disconnected"));
  CHECK(WhyNeverServing(Shared(), "hello", 2, "1") == "");
}

}  // namespace
}  // namespace berth::integration
