#include "common/history/retention.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "common/eventlog/log_begin.h"
#include "common/eventlog/model_counter.h"
#include "common/testing/printers.h"
#include "common/time/timestamp.h"

namespace berth {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);
const absl::Duration kKept = Retention::kDaysMin * kDay;

// A service with one promotion a day, and what cuts its log, on two executors as on two threads.
struct Service {
  LogSource Source() {
    return {"counter", &process.counter.writer(), nullptr,
            [this]() -> absl::StatusOr<std::unique_ptr<LogReader>> {
              return std::make_unique<MemoryEventLog>(world.database, "counter");
            }};
  }

  void Pass(absl::Duration time) {
    world.clock.Advance(time);
    process.executor.RunUntilIdle();
    for (int i = 0; i < 3; ++i) {
      history.RunUntilIdle();
      process.executor.RunUntilIdle();
    }
  }

  void PassDays(int days) {
    for (int i = 0; i < days; ++i) {
      Pass(kDay);
      REQUIRE(process.Promote("a").ok());
    }
  }

  uint64_t CutPosition() { return process.counter.writer().numbers().cut_position; }

  World world;
  Process process{&world};
  ManualExecutor history{&world.clock};
};

TEST_CASE("a log keeps what is younger than is said, and is cut about once a day",
          "[history][retention]") {
  Service service;
  const Retention retention({service.Source()}, kKept, &service.history, &service.world.clock);
  const uint64_t days = Retention::kDaysMin;
  service.PassDays(static_cast<int>(days));
  CHECK(service.CutPosition() == 0);
  int cuts = 0;
  for (int day = 0; day < 10; ++day) {
    const uint64_t before = service.CutPosition();
    service.PassDays(1);
    if (service.CutPosition() > before) ++cuts;
  }
  CHECK(cuts >= 4);
  const uint64_t cut = service.CutPosition();
  CHECK(service.process.Count("a") == days + 10);
  // The oldest that is left is of the last day that is kept, or of one more.
  eventlog::v1::Record oldest;
  REQUIRE(oldest.ParseFromString(service.process.log.Read(cut, 1)->front().bytes));
  const absl::Duration age = service.world.clock.Now() - FromTimestamp(oldest.time());
  CHECK(age > kKept - kDay);
  CHECK(age <= kKept + 2 * Retention::kSurplus);
}

TEST_CASE("a log that was not cut for long is cut in one piece", "[history][retention]") {
  Service service;
  service.PassDays(300);
  const Retention retention({service.Source()}, kKept, &service.history, &service.world.clock);
  service.Pass(Retention::kFirstLook);
  CHECK(service.CutPosition() > 200);
  service.Pass(absl::Minutes(1));
  CHECK(service.process.Count("a") == 300);
}

TEST_CASE("records whose times were set back do not take others with them",
          "[history][retention]") {
  Service service;
  service.PassDays(70);
  const uint64_t kept = service.process.counter.writer().numbers().position;
  // A machine that starts without a clock.
  service.world.clock.Set(-20'000 * kDay);
  for (int i = 0; i < 500; ++i) REQUIRE(service.process.Promote("a").ok());
  service.world.clock.Set(20'000 * kDay);
  service.PassDays(60);
  const Retention retention({service.Source()}, kKept, &service.history, &service.world.clock);
  service.Pass(Retention::kFirstLook);
  CHECK(service.CutPosition() > 0);
  CHECK(service.CutPosition() < kept);
}

TEST_CASE("who does not lead cuts nothing", "[history][retention]") {
  Service service;
  service.PassDays(100);
  Process standby(&service.world);
  REQUIRE_FALSE(standby.Leads());
  LogSource source = service.Source();
  source.writer = &standby.counter.writer();
  int opened = 0;
  source.open = [&opened, open = source.open] {
    ++opened;
    return open();
  };
  const Retention retention({source}, kKept, &service.history, &service.world.clock);
  service.Pass(Retention::kFirstLook);
  CHECK(opened == 0);
  standby.executor.RunUntilIdle();
  CHECK(ReadLogBegin("counter", &service.process.log)->position() == 0);
}

TEST_CASE("a clock that was set far ahead cuts nothing", "[history][retention]") {
  Service service;
  service.PassDays(10);
  const Retention retention({service.Source()}, kKept, &service.history, &service.world.clock);
  service.world.clock.Set(3650 * kDay);
  service.Pass(kDay);
  CHECK(service.CutPosition() == 0);
}

}  // namespace
}  // namespace berth
