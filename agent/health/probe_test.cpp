#include "agent/health/probe.h"

#include <catch2/catch.hpp>

#include "common/clock/manual_clock.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

// A probe on a clock of its own.
struct Subject {
  explicit Subject(const ProbePolicy& policy) : probe(policy, clock.Monotonic()) {}

  // Lets the time come at which the next check is due, and records what came of it.
  Health Check(bool passed, const std::string& detail = "") {
    const absl::Duration wait = *probe.NextCheckAt() - clock.Monotonic();
    if (wait > absl::ZeroDuration()) clock.Advance(wait);
    probe.BeginCheck();
    probe.RecordCheck({passed, detail}, clock.Monotonic());
    return probe.health();
  }

  ManualClock clock;
  Probe probe;
};

constexpr bool kPass = true;
constexpr bool kFail = false;

TEST_CASE("an instance is ready after enough successes in a row", "[agent][probe]") {
  Subject subject({.successes_needed = 2});
  CHECK(subject.probe.health() == Health::kStarting);
  CHECK(subject.Check(kPass) == Health::kStarting);
  CHECK(subject.Check(kFail) == Health::kStarting);
  CHECK(subject.Check(kPass) == Health::kStarting);
  CHECK(subject.Check(kPass) == Health::kReady);
}

TEST_CASE("a ready instance is unready after enough failures in a row", "[agent][probe]") {
  Subject subject({.failures_needed = 3});
  REQUIRE(subject.Check(kPass) == Health::kReady);
  CHECK(subject.Check(kFail) == Health::kReady);
  CHECK(subject.Check(kFail) == Health::kReady);
  CHECK(subject.Check(kPass) == Health::kReady);
  CHECK(subject.Check(kFail) == Health::kReady);
  CHECK(subject.Check(kFail) == Health::kReady);
  CHECK(subject.Check(kFail, "refused") == Health::kUnready);
  CHECK(subject.probe.detail() == "refused");

  SECTION("and ready again after a success") {
    CHECK(subject.Check(kPass) == Health::kReady);
    CHECK(subject.probe.detail().empty());
  }
}

TEST_CASE("failures do not count while an instance starts", "[agent][probe]") {
  Subject subject({.start_max = absl::Minutes(1), .failures_needed = 1});
  for (int i = 0; i < 10; ++i) CHECK(subject.Check(kFail, "refused") == Health::kStarting);
  CHECK(subject.probe.detail() == "refused");
  CHECK(subject.Check(kPass) == Health::kReady);
}

TEST_CASE("an instance that takes too long to start is unready", "[agent][probe]") {
  Subject subject({.start_max = absl::Seconds(10)});
  SECTION("by a failed check") {
    CHECK(subject.Check(kFail) == Health::kStarting);
    subject.clock.Advance(absl::Seconds(10));
    CHECK(subject.Check(kFail) == Health::kUnready);
  }
  SECTION("without any result") {
    subject.probe.BeginCheck();
    subject.clock.Advance(absl::Milliseconds(9999));
    subject.probe.AdvanceTo(subject.clock.Monotonic());
    CHECK(subject.probe.health() == Health::kStarting);
    subject.clock.Advance(absl::Milliseconds(1));
    subject.probe.AdvanceTo(subject.clock.Monotonic());
    CHECK(subject.probe.health() == Health::kUnready);
    CHECK_FALSE(subject.probe.detail().empty());
  }
  SECTION("but becomes ready if it passes after all") {
    subject.clock.Advance(absl::Seconds(20));
    CHECK(subject.Check(kPass) == Health::kReady);
  }
}

TEST_CASE("checks come close while starting and at the interval afterwards", "[agent][probe]") {
  Subject subject({.interval = absl::Seconds(5), .start_interval = absl::Milliseconds(100)});
  CHECK(subject.probe.NextCheckAt() == subject.clock.Monotonic());
  subject.Check(kFail);
  CHECK(*subject.probe.NextCheckAt() - subject.clock.Monotonic() == absl::Milliseconds(100));
  subject.Check(kPass);
  CHECK(*subject.probe.NextCheckAt() - subject.clock.Monotonic() == absl::Seconds(5));
}

TEST_CASE("checks while starting never come further apart than the interval", "[agent][probe]") {
  Subject subject({.interval = absl::Milliseconds(100), .start_interval = absl::Seconds(1)});
  subject.Check(kFail);
  CHECK(*subject.probe.NextCheckAt() - subject.clock.Monotonic() == absl::Milliseconds(100));
}

TEST_CASE("one check runs at a time", "[agent][probe]") {
  Subject subject({});
  subject.probe.BeginCheck();
  CHECK_FALSE(subject.probe.NextCheckAt().has_value());
  subject.probe.RecordCheck({.passed = true}, subject.clock.Monotonic());
  CHECK(subject.probe.NextCheckAt().has_value());
}

}  // namespace
}  // namespace berth
