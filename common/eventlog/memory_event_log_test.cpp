#include "common/eventlog/memory_event_log.h"

#include "common/clock/manual_clock.h"
#include "common/eventlog/event_log_contract.h"

namespace berth {
namespace {

using contract::BytesOf;
using contract::RecordsAfter;
using AppendFailure = MemoryDatabase::AppendFailure;

struct MemoryFixture : EndingLeaseFixture {
  absl::StatusOr<std::unique_ptr<EventLog>> Open() override {
    return std::make_unique<MemoryEventLog>(database, "config");
  }
  void EndLeases() override { clock.Advance(contract::kLease); }

  ManualClock clock;
  std::shared_ptr<MemoryDatabase> database = std::make_shared<MemoryDatabase>(&clock);
};

TEST_CASE("the memory log keeps the contract", "[eventlog][memory]") {
  MemoryFixture fixture;
  CheckEventLogContract(fixture);
}

TEST_CASE("leases of the memory log end as the contract says", "[eventlog][memory]") {
  MemoryFixture fixture;
  CheckEndingLeaseContract(fixture);
}

TEST_CASE("streams of one memory database have nothing in common", "[eventlog][memory]") {
  MemoryFixture fixture;
  MemoryEventLog config(fixture.database, "config");
  MemoryEventLog auth(fixture.database, "auth");
  REQUIRE(config.TakeLease({"first"}, contract::kLease).ok());
  REQUIRE(auth.TakeLease({"second"}, contract::kLease).ok());
  REQUIRE(config.Append(0, RecordsAfter(0, {"one"}), std::vector<RowChange>{{"a", "1"}}).ok());
  CHECK(auth.Read(0, 10)->empty());
  CHECK(auth.ListRows("")->empty());
  CHECK(auth.Append(0, RecordsAfter(0, {"other"}), {}).ok());
}

TEST_CASE("an append fails as it was told to, once", "[eventlog][memory]") {
  struct Row {
    AppendFailure failure;
    absl::StatusCode code;
    size_t records_stored;
  };
  const Row row = GENERATE(Row{AppendFailure::kLostBeforeStored, absl::StatusCode::kUnavailable, 0},
                           Row{AppendFailure::kLostAfterStored, absl::StatusCode::kUnavailable, 1},
                           Row{AppendFailure::kDiskFull, absl::StatusCode::kResourceExhausted, 0});
  MemoryFixture fixture;
  MemoryEventLog log(fixture.database, "config");
  REQUIRE(log.TakeLease({"first"}, contract::kLease).ok());
  fixture.database->FailNextAppend(row.failure);
  CHECK(log.Append(0, RecordsAfter(0, {"one"}), std::vector<RowChange>{{"a", "1"}}).code() ==
        row.code);
  CHECK(log.Read(0, 10)->size() == row.records_stored);
  CHECK(log.ListRows("")->size() == row.records_stored);
  CHECK(log.Append(row.records_stored, RecordsAfter(row.records_stored, {"next"}), {}).ok());
}

TEST_CASE("a memory database that is cut off answers nothing and forgets nothing",
          "[eventlog][memory]") {
  MemoryFixture fixture;
  auto log = std::make_unique<MemoryEventLog>(fixture.database, "config");
  REQUIRE(log->TakeLease({"first"}, contract::kLease).ok());
  REQUIRE(log->Append(0, RecordsAfter(0, {"one"}), {}).ok());
  fixture.database->Disconnect();
  CHECK(absl::IsUnavailable(log->TakeLease({"first"}, contract::kLease)));
  CHECK(absl::IsUnavailable(log->Append(1, RecordsAfter(1, {"two"}), {})));
  CHECK(absl::IsUnavailable(log->Read(0, 10).status()));
  CHECK(absl::IsUnavailable(log->GetRow("a").status()));
  CHECK(absl::IsUnavailable(log->ListRows("").status()));

  SECTION("it goes on when it is reached again") {
    fixture.database->Reconnect();
    CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"one"});
    CHECK(log->Append(1, RecordsAfter(1, {"two"}), {}).ok());
  }
  SECTION("a process that ended while cut off keeps its lease to the end") {
    log.reset();
    fixture.database->Reconnect();
    MemoryEventLog second(fixture.database, "config");
    CHECK(absl::IsUnavailable(second.TakeLease({"second"}, contract::kLease)));
    fixture.clock.Advance(contract::kLease);
    CHECK(second.TakeLease({"second"}, contract::kLease).ok());
  }
}

}  // namespace
}  // namespace berth
