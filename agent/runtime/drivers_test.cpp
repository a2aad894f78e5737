#include "agent/runtime/drivers.h"

#include <catch2/catch.hpp>

#include "common/clock/manual_clock.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

TEST_CASE("every driver can be made by its name without touching the host", "[agent][driver]") {
  ManualClock clock;
  for (const std::string& name : DriverNames()) {
    INFO(name);
    CHECK(MakeDriver(name, {.host = "host-a", .podman = {}}, &clock).ok());
  }
}

TEST_CASE("an unknown driver is refused with those there are", "[agent][driver]") {
  ManualClock clock;
  CHECK(MakeDriver("rocket", {.host = "host-a", .podman = {}}, &clock).status() ==
        absl::InvalidArgumentError("there is no driver \"rocket\"; there is podman"));
}

}  // namespace
}  // namespace berth
