#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/runtime/driver_contract.h"
#include "agent/runtime/podman/podman_driver.h"
#include "agent/runtime/podman/podman_fixture.h"
#include "agent/runtime/program.h"
#include "common/clock/system_clock.h"

namespace berth {
namespace {

using testing::PodmanFixture;

// Containers of one test, told apart from those of others by a host id of their own.
class PodmanUnderTest : public testing::DriverUnderTest {
 public:
  PodmanUnderTest() : driver_(PodmanFixture::Shared().settings(), NewHostId(), &clock_) {}

  ~PodmanUnderTest() override {
    const auto records = driver_.List();
    if (!records.ok()) return;
    for (const InstanceRecord& record : *records) (void)driver_.Destroy(record.handle);
  }

  Driver& driver() override { return driver_; }
  std::string image() override { return PodmanFixture::Shared().image(); }
  std::string missing_image() override { return "localhost/nothing:1"; }

  // Another name, and away with it again: the store is everybody's.
  void MakeImage() override {
    const PodmanServiceSettings& podman = PodmanFixture::Shared().settings();
    for (const std::vector<std::string>& change :
         {std::vector<std::string>{"tag", "localhost/busybox:1", "localhost/busybox:again"},
          std::vector<std::string>{"untag", "localhost/busybox:1", "localhost/busybox:again"}}) {
      std::vector<std::string> command = {podman.program, "--url", "unix://" + podman.socket_path};
      command.insert(command.end(), change.begin(), change.end());
      const absl::StatusOr<ProgramResult> changed = RunProgram(command, {});
      REQUIRE(changed.status() == absl::OkStatus());
      REQUIRE(changed->exit_code == 0);
    }
  }

  InstanceSpec RunsUntilStopped(const std::string& instance_id,
                                const std::vector<std::string>& lines) override {
    std::string script = "trap 'exit 0' TERM; ";
    for (const std::string& line : lines) absl::StrAppend(&script, "echo ", line, "; ");
    return Shell(instance_id, script + "while true; do sleep 1 & wait $!; done");
  }
  InstanceSpec ExitsWith(const std::string& instance_id, int exit_code) override {
    return Shell(instance_id, absl::StrCat("echo last words; exit ", exit_code));
  }
  InstanceSpec IgnoresStop(const std::string& instance_id) override {
    return Shell(instance_id, "trap '' TERM; while true; do sleep 1; done");
  }

  InstanceSpec Shell(const std::string& instance_id, const std::string& script) {
    InstanceSpec spec;
    spec.instance_id = instance_id;
    spec.image = image();
    spec.command = {"sh", "-c", script};
    spec.env = {{"PATH", "/bin"}};
    return spec;
  }

  // Starts it, waits for its end, and gives its status.
  InstanceStatus RunToEnd(const InstanceSpec& spec, InstanceHandle* handle) {
    testing::EventListener listener(driver_);
    *handle = testing::MustStart(driver_, spec);
    REQUIRE(listener.AwaitExit(*handle));
    return *driver_.Inspect(*handle);
  }

 private:
  static std::string NewHostId() {
    static int last = 0;
    return absl::StrCat("host-", ++last);
  }

  SystemClock clock_;
  PodmanDriver driver_;
};

TEST_CASE("Podman keeps the contract of drivers", "[podman][root][integration]") {
  PodmanUnderTest under_test;
  testing::CheckDriverContract(under_test);
}

TEST_CASE("an instance gets its environment, user, mounts and a root it cannot write",
          "[podman][root][integration]") {
  PodmanUnderTest under_test;
  testing::TempDir folder;
  std::ofstream(folder.File("secret")) << "hush\n";
  InstanceSpec spec =
      under_test.Shell("look",
                       "echo $COLOUR; id -u; cat /run/berth/secret; "
                       "echo x 2>/dev/null > /run/berth/secret || echo mount is read-only; "
                       "echo x 2>/dev/null > /bin/x || echo root is read-only; "
                       "echo x > /scratch/x && cat /scratch/x");
  spec.env["COLOUR"] = "blue";
  spec.user = "0:0";
  spec.read_only_root = true;
  spec.mounts = {{.source = folder.path(), .target = "/run/berth"}};
  spec.tmpfs = {{.target = "/scratch"}};
  InstanceHandle handle;
  CHECK(under_test.RunToEnd(spec, &handle).exit_code == 0);
  CHECK(absl::StrJoin(*under_test.driver().TailLog(handle, 20), "|") ==
        "blue|0|hush|mount is read-only|root is read-only|x");
}

TEST_CASE("an instance that takes more memory than it was given is killed and says so",
          "[podman][root][integration]") {
  PodmanUnderTest under_test;
  InstanceSpec spec =
      under_test.Shell("glutton", "exec dd if=/dev/zero of=/dev/null bs=200M count=2");
  spec.memory_bytes_max = 32 << 20;
  InstanceHandle handle;
  const InstanceStatus status = under_test.RunToEnd(spec, &handle);
  CHECK(status.exit_code == 137);
  CHECK(status.oom_killed);
  CHECK(under_test.driver().List()->at(0).status.oom_killed);
}

TEST_CASE("an instance that was killed for another reason does not blame memory",
          "[podman][root][integration]") {
  PodmanUnderTest under_test;
  const InstanceHandle handle =
      testing::MustStart(under_test.driver(), under_test.IgnoresStop("stubborn"));
  REQUIRE(under_test.driver().Stop(handle, absl::ZeroDuration()) == absl::OkStatus());
  CHECK_FALSE(under_test.driver().Inspect(handle)->oom_killed);
}

TEST_CASE("a program that the image lacks can never run", "[podman][root][integration]") {
  PodmanUnderTest under_test;
  InstanceSpec spec = under_test.Shell("typo", "");
  spec.command = {"/no/such/program"};
  const absl::Status status = under_test.driver().Start(spec).status();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(status.message()), Catch::Contains("/no/such/program"));
  // What it left can be found and cleared away.
  const std::vector<InstanceRecord> records = *under_test.driver().List();
  REQUIRE(records.size() == 1);
  CHECK(records[0].status.phase == InstancePhase::kCreated);
  CHECK(under_test.driver().Destroy(records[0].handle) == absl::OkStatus());
}

TEST_CASE("a command inside an instance gives its code and output, and is killed in time",
          "[podman][root][integration]") {
  PodmanUnderTest under_test;
  Driver& driver = under_test.driver();
  InstanceSpec spec = under_test.RunsUntilStopped("shell", {});
  spec.env["COLOUR"] = "blue";
  const InstanceHandle handle = testing::MustStart(driver, spec);
  const auto result =
      driver.Exec(handle, {"sh", "-c", "echo $COLOUR; echo err >&2; exit 3"}, absl::Seconds(20));
  REQUIRE(result.status() == absl::OkStatus());
  CHECK(result->exit_code == 3);
  // Each stream has a pipe of its own on the way: nothing orders one against the other.
  CHECK((result->output == "blue\nerr\n" || result->output == "err\nblue\n"));
  const auto missing = driver.Exec(handle, {"/no/such/program"}, absl::Seconds(20));
  REQUIRE(missing.status() == absl::OkStatus());
  CHECK(missing->exit_code != 0);

  CHECK(driver.Exec(handle, {"sleep", "1000"}, absl::Seconds(1)).status().code() ==
        absl::StatusCode::kDeadlineExceeded);
  const auto processes =
      driver.Exec(handle, {"sh", "-c", "cat /proc/*/cmdline"}, absl::Seconds(20));
  REQUIRE(processes.status() == absl::OkStatus());
  CHECK_THAT(processes->output, !Catch::Contains("1000"));
}

TEST_CASE("a service that died is started again by the next call, and instances run on",
          "[podman][root][integration]") {
  PodmanUnderTest under_test;
  const InstanceHandle handle =
      testing::MustStart(under_test.driver(), under_test.RunsUntilStopped("web", {}));
  const int64_t pid = *under_test.driver().Inspect(handle)->pid;
  REQUIRE(PodmanService(PodmanFixture::Shared().settings()).Stop() == absl::OkStatus());
  CHECK(under_test.driver().Inspect(handle)->pid == pid);
}

TEST_CASE("who watches exits learns that the service went away", "[podman][root][integration]") {
  PodmanUnderTest under_test;
  testing::EventListener listener(under_test.driver());
  REQUIRE(listener.watching());
  REQUIRE(PodmanService(PodmanFixture::Shared().settings()).Stop() == absl::OkStatus());
  CHECK(listener.Result().code() == absl::StatusCode::kUnavailable);
}

TEST_CASE("a registry that does not answer is to be tried again", "[podman][root][integration]") {
  PodmanUnderTest under_test;
  const std::string image = absl::StrCat("127.0.0.1:1/web@sha256:", std::string(64, '0'));
  const absl::Status status = under_test.driver().EnsureImage({.image = image}, nullptr);
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK_THAT(std::string(status.message()), Catch::Contains(image));
}

TEST_CASE("the registry is asked for an image that is there only where that is wanted",
          "[podman][root][integration]") {
  PodmanUnderTest under_test;
  const std::string image = "127.0.0.1:1/web:1";
  LibpodClient client(PodmanFixture::Shared().settings().socket_path);
  // Its answer is no JSON.
  (void)client.Call({.method = "POST",
                     .path = absl::StrCat("/images/", PercentEncode(under_test.image()),
                                          "/tag?repo=127.0.0.1:1/web&tag=1")});
  CHECK(under_test.driver().EnsureImage({.image = image}) == absl::OkStatus());
  CHECK(under_test.driver()
            .EnsureImage({.image = image, .pull = ImageRequest::Pull::kAlways})
            .code() == absl::StatusCode::kUnavailable);
  (void)client.Call({.method = "DELETE", .path = absl::StrCat("/images/", PercentEncode(image))});
}

TEST_CASE("local images and the host's facts are told", "[podman][root][integration]") {
  PodmanUnderTest under_test;
  const std::vector<LocalImage> images = *under_test.driver().LocalImages();
  REQUIRE(images.size() == 1);
  CHECK(images[0].names == std::vector<std::string>{"localhost/busybox:1"});
  CHECK("localhost/busybox@" + images[0].digest == under_test.image());
  CHECK(images[0].bytes > 0);
  const DriverFacts facts = *under_test.driver().Facts();
  CHECK_FALSE(facts.version.empty());
  CHECK(facts.network_backend == "netavark");
  CHECK_FALSE(facts.rootless);
}

TEST_CASE("a Podman that cannot come up says why", "[podman][root][integration]") {
  testing::TempDir folder;
  PodmanServiceSettings settings;
  settings.socket_path = folder.File("podman.sock");
  settings.state_folder = folder.path();
  SECTION("it is not installed") {
    settings.program = "/no/such/podman";
    const absl::Status status = PodmanService(settings).EnsureRunning();
    CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
    CHECK_THAT(std::string(status.message()), Catch::Contains("install podman"));
  }
  SECTION("it ends at once") {
    settings.arguments = {"--no-such-option"};
    const absl::Status status = PodmanService(settings).EnsureRunning();
    CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
    CHECK_THAT(std::string(status.message()), Catch::Contains("no-such-option"));
  }
}

}  // namespace
}  // namespace berth
