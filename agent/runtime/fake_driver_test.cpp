#include "agent/runtime/fake_driver.h"

#include <catch2/catch.hpp>

#include "agent/runtime/driver_contract.h"
#include "common/clock/manual_clock.h"

namespace berth {
namespace {

class FakeUnderTest : public testing::DriverUnderTest {
 public:
  FakeUnderTest() {
    fake_.SetImageError(missing_image(),
                        absl::NotFoundError("image " + missing_image() + ": manifest unknown"));
  }

  Driver& driver() override { return fake_; }
  std::string image() override { return "registry.example/web@sha256:1"; }
  std::string missing_image() override { return "registry.example/nothing@sha256:2"; }

  void MakeImage() override { fake_.AddLocalImage({.id = {}, .digest = "sha256:3", .names = {}}); }

  InstanceSpec RunsUntilStopped(const std::string& instance_id,
                                const std::vector<std::string>& lines) override {
    return Scripted(instance_id, {.log = lines});
  }
  InstanceSpec ExitsWith(const std::string& instance_id, int exit_code) override {
    return Scripted(
        instance_id,
        {.run_for = absl::ZeroDuration(), .exit_code = exit_code, .log = {"last words"}});
  }
  InstanceSpec IgnoresStop(const std::string& instance_id) override {
    return Scripted(instance_id, {.ignores_stop = true});
  }

 private:
  InstanceSpec Scripted(const std::string& instance_id, FakeDriver::Script script) {
    fake_.SetScript(instance_id, std::move(script));
    InstanceSpec spec;
    spec.instance_id = instance_id;
    spec.image = image();
    return spec;
  }

  ManualClock clock_;
  FakeDriver fake_{&clock_};
};

TEST_CASE("the fake driver keeps the contract of drivers", "[agent][driver]") {
  FakeUnderTest under_test;
  testing::CheckDriverContract(under_test);
}

TEST_CASE("a fake instance exits when its time is over", "[agent][driver]") {
  ManualClock clock;
  FakeDriver driver(&clock);
  driver.SetDefaultScript({.run_for = absl::Seconds(3), .exit_code = 1, .oom_killed = true});
  InstanceSpec spec;
  spec.instance_id = "a";
  spec.image = "x@sha256:1";
  REQUIRE(driver.EnsureImage({.image = spec.image}, nullptr).ok());
  const InstanceHandle handle = *driver.Start(spec);
  clock.Advance(absl::Milliseconds(2999));
  CHECK(driver.Inspect(handle)->phase == InstancePhase::kRunning);
  clock.Advance(absl::Milliseconds(1));
  CHECK(driver.Inspect(handle)->exit_code == 1);
  CHECK(driver.Inspect(handle)->oom_killed);
  CHECK(driver.calls() == std::vector<std::string>{"pull x@sha256:1", "start a#1"});
}

TEST_CASE("a fake driver that is away says so until it is back", "[agent][driver]") {
  ManualClock clock;
  FakeDriver driver(&clock);
  driver.SetUnavailable(absl::UnavailableError("podman does not answer"));
  CHECK(driver.List().status() == absl::UnavailableError("podman does not answer"));
  driver.SetUnavailable(absl::OkStatus());
  CHECK(driver.List().ok());
}

TEST_CASE("a failing start is what its script says, and leaves nothing", "[agent][driver]") {
  ManualClock clock;
  FakeDriver driver(&clock);
  driver.SetScript("a", {.start = absl::ResourceExhaustedError("full")});
  InstanceSpec spec;
  spec.instance_id = "a";
  spec.image = "x@sha256:1";
  REQUIRE(driver.EnsureImage({.image = spec.image}, nullptr).ok());
  CHECK(driver.Start(spec).status() == absl::ResourceExhaustedError("full"));
  CHECK(driver.List()->empty());
}

}  // namespace
}  // namespace berth
