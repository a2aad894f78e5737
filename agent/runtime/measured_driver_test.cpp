#include "agent/runtime/measured_driver.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <utility>

#include "agent/runtime/fake_driver.h"
#include "common/clock/manual_clock.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

TEST_CASE("each call of a driver is told of, with how it went, under a known word",
          "[agent][driver]") {
  ManualClock clock;
  FakeDriver fake(&clock);
  fake.SetImageError("registry.example/gone@sha256:1", absl::NotFoundError("no such image"));
  std::vector<std::pair<std::string, absl::StatusCode>> told;
  MeasuredDriver driver(
      &fake, &clock, [&](absl::string_view operation, const absl::Status& status, absl::Duration) {
        told.emplace_back(operation, status.code());
      });
  ImageRequest image;
  image.image = "registry.example/gone@sha256:1";
  CHECK(driver.EnsureImage(image, nullptr).code() == absl::StatusCode::kNotFound);
  image.image = "registry.example/app@sha256:2";
  CHECK(driver.EnsureImage(image, nullptr).ok());
  InstanceSpec spec;
  spec.instance_id = "web-1";
  spec.attempt = 1;
  spec.image = image.image;
  const absl::StatusOr<InstanceHandle> handle = driver.Start(spec);
  REQUIRE(handle.ok());
  CHECK(driver.Inspect(*handle)->phase == InstancePhase::kRunning);
  CHECK(driver.List()->size() == 1);
  CHECK(driver.TailLog(*handle, 1).ok());
  CHECK(driver.Exec(*handle, {"true"}, absl::Seconds(1)).ok());
  ExecSpec command;
  command.command = {"true"};
  CHECK(driver.OpenExec(*handle, command).ok());
  CHECK(driver.Stop(*handle, absl::ZeroDuration()).ok());
  CHECK(driver.Destroy(*handle).ok());
  CHECK(driver.LocalImages().ok());
  CHECK(driver.Facts().ok());

  REQUIRE(told.size() == 12);
  CHECK(told[0] == std::make_pair(std::string("ensure_image"), absl::StatusCode::kNotFound));
  CHECK(told[1] == std::make_pair(std::string("ensure_image"), absl::StatusCode::kOk));
  CHECK(told[2] == std::make_pair(std::string("start"), absl::StatusCode::kOk));
  std::set<std::string> operations;
  for (const auto& [operation, code] : told) operations.insert(operation);
  const std::vector<std::string>& known = MeasuredDriver::Operations();
  CHECK(operations == std::set<std::string>(known.begin(), known.end()));
}

}  // namespace
}  // namespace berth
