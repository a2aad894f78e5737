#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/eventlog/event_log.h"
#include "common/testing/printers.h"

// What every EventLog promises, as tests that run against any of them: a TEST_CASE makes the
// implementation's fixture and calls the function.
namespace berth {

// Where one implementation keeps one stream.
class EventLogFixture {
 public:
  virtual ~EventLogFixture() = default;

  // Another process on the stream: the first one makes it, a later one finds what is there.
  virtual absl::StatusOr<std::unique_ptr<EventLog>> Open() = 0;
};

// Where leases also end by themselves, with their holders alive.
class EndingLeaseFixture : public EventLogFixture {
 public:
  // Lets the time of every lease run out.
  virtual void EndLeases() = 0;
};

namespace contract {

inline constexpr absl::Duration kLease = absl::Seconds(60);
inline constexpr size_t kMebibyte = size_t{1} << 20;

using Rows = std::vector<std::pair<std::string, std::string>>;

// Any 32 bytes do: a log does not check hashes. Every byte value occurs in them, NUL included.
inline std::string HashOf(uint64_t position) {
  std::string hash(32, '\0');
  for (size_t i = 0; i < hash.size(); ++i) hash[i] = static_cast<char>(position * 32 + i);
  return hash;
}

// Records that follow `after`, one for each of `bytes`.
inline std::vector<StoredRecord> RecordsAfter(uint64_t after, std::vector<std::string> bytes) {
  std::vector<StoredRecord> records;
  for (std::string& each : bytes) {
    const uint64_t position = after + records.size() + 1;
    records.push_back({position, std::move(each), HashOf(position)});
  }
  return records;
}

inline std::vector<std::string> BytesOf(const std::vector<StoredRecord>& records) {
  std::vector<std::string> bytes;
  for (const StoredRecord& record : records) bytes.push_back(record.bytes);
  return bytes;
}

inline std::string EveryByte() {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  return bytes;
}

inline std::unique_ptr<EventLog> OpenAndLead(EventLogFixture& fixture) {
  auto log = fixture.Open();
  REQUIRE(log.status() == absl::OkStatus());
  REQUIRE((*log)->TakeLease({"first"}, kLease) == absl::OkStatus());
  return *std::move(log);
}

}  // namespace contract

inline void CheckEventLogContract(EventLogFixture& fixture) {
  using namespace contract;
  std::unique_ptr<EventLog> log = OpenAndLead(fixture);
  const auto append = [&](uint64_t after, std::vector<std::string> bytes,
                          std::vector<RowChange> rows = {}) {
    return log->Append(after, RecordsAfter(after, std::move(bytes)), rows);
  };

  SECTION("a new log is empty") {
    CHECK(log->Read(0, 10)->empty());
    CHECK(log->Read(7, 10)->empty());
    CHECK(*log->GetRow("a") == std::nullopt);
    CHECK(log->ListRows("")->empty());
  }

  SECTION("records are read as they were appended, in order") {
    REQUIRE(append(0, {"one"}) == absl::OkStatus());
    REQUIRE(append(1, {"two", "", EveryByte()}) == absl::OkStatus());
    const std::vector<StoredRecord> records = *log->Read(0, 10);
    REQUIRE(BytesOf(records) == std::vector<std::string>{"one", "two", "", EveryByte()});
    for (uint64_t i = 0; i < records.size(); ++i) {
      CHECK(records[i].position == i + 1);
      CHECK(records[i].hash == HashOf(i + 1));
    }
  }

  SECTION("a read starts after a position and ends at its limit") {
    REQUIRE(append(0, {"one", "two", "three", "four"}) == absl::OkStatus());
    CHECK(BytesOf(*log->Read(1, 2)) == std::vector<std::string>{"two", "three"});
    CHECK(BytesOf(*log->Read(3, 2)) == std::vector<std::string>{"four"});
    CHECK(log->Read(4, 2)->empty());
    CHECK(log->Read(0, 0)->empty());
  }

  SECTION("an append after any position but the last is refused and changes nothing") {
    REQUIRE(append(0, {"one", "two"}, {{"kept", "before"}}) == absl::OkStatus());
    const uint64_t after = GENERATE(0, 1, 3);
    const bool with_record = GENERATE(true, false);
    const std::vector<std::string> bytes(with_record ? 1 : 0, "wrong");
    CHECK(absl::IsAborted(append(after, bytes, {{"kept", "after"}, {"new", "row"}})));
    CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"one", "two"});
    CHECK(*log->ListRows("") == Rows{{"kept", "before"}});
    // The log stays usable for whoever knows better.
    CHECK(append(2, {"three"}) == absl::OkStatus());
  }

  SECTION("rows are put, replaced and erased together with the records") {
    REQUIRE(append(0, {"one"}, {{"a", "1"}, {"b", "2"}, {"c", ""}}) == absl::OkStatus());
    REQUIRE(append(1, {"two"}, {{"a", "3"}, {"b", std::nullopt}, {"gone", std::nullopt}}) ==
            absl::OkStatus());
    CHECK(*log->GetRow("a") == "3");
    CHECK(*log->GetRow("b") == std::nullopt);
    CHECK(*log->GetRow("c") == "");
    CHECK(*log->ListRows("") == Rows{{"a", "3"}, {"c", ""}});
  }

  SECTION("of several changes to one row the last one holds") {
    REQUIRE(append(0, {}, {{"a", "1"}, {"b", "1"}, {"a", "2"}, {"b", std::nullopt}}) ==
            absl::OkStatus());
    CHECK(*log->ListRows("") == Rows{{"a", "2"}});
    REQUIRE(append(0, {}, {{"a", std::nullopt}, {"a", "3"}}) == absl::OkStatus());
    CHECK(*log->ListRows("") == Rows{{"a", "3"}});
  }

  SECTION("all rows are read with the position that they belong to") {
    CHECK(log->ReadRows()->position == 0);
    CHECK(log->ReadRows()->rows.empty());
    REQUIRE(append(0, {"one", "two"}, {{"b", "2"}, {"a", EveryByte()}}) == absl::OkStatus());
    const auto all = log->ReadRows();
    REQUIRE(all.status() == absl::OkStatus());
    CHECK(all->position == 2);
    CHECK((all->rows == Rows{{"a", EveryByte()}, {"b", "2"}}));
  }

  SECTION("rows change without a record too") {
    REQUIRE(append(0, {"one"}) == absl::OkStatus());
    REQUIRE(append(1, {}, {{"a", "1"}}) == absl::OkStatus());
    CHECK(*log->GetRow("a") == "1");
    CHECK(log->Read(0, 10)->size() == 1);
    CHECK(append(1, {}) == absl::OkStatus());
  }

  SECTION("rows are listed by prefix, in byte order") {
    const std::string high(1, '\xff');
    const std::string nul("a\0b", 3);
    REQUIRE(append(0, {},
                   {{"b/1", "4"},
                    {"a/2", "3"},
                    {"a/1", "2"},
                    {nul, "1"},
                    {"a0", "5"},
                    {high, "6"},
                    {high + high, "7"}}) == absl::OkStatus());
    CHECK(*log->ListRows("a/") == Rows{{"a/1", "2"}, {"a/2", "3"}});
    CHECK(*log->ListRows("a") == Rows{{nul, "1"}, {"a/1", "2"}, {"a/2", "3"}, {"a0", "5"}});
    CHECK(*log->ListRows(high) == Rows{{high, "6"}, {high + high, "7"}});
    CHECK(log->ListRows("")->size() == 7);
    CHECK(log->ListRows("c")->empty());
  }

  SECTION("rows hold any bytes, in keys and values") {
    REQUIRE(append(0, {}, {{EveryByte(), EveryByte()}}) == absl::OkStatus());
    CHECK(*log->GetRow(EveryByte()) == EveryByte());
    CHECK(*log->GetRow(EveryByte().substr(0, 255)) == std::nullopt);
    CHECK(*log->ListRows(EveryByte().substr(0, 3)) == Rows{{EveryByte(), EveryByte()}});
    CHECK(log->ListRows(std::string("\0\2", 2))->empty());
  }

  SECTION("large records and rows are stored whole, and read in bounded pieces") {
    std::vector<std::string> bytes;
    for (char fill = 'a'; fill < 'a' + 20; ++fill) bytes.emplace_back(kMebibyte, fill);
    REQUIRE(append(0, bytes, {{"row", bytes.front()}}) == absl::OkStatus());
    CHECK((*log->GetRow("row") == bytes.front()));
    std::vector<std::string> read;
    size_t largest = 0;
    while (true) {
      const std::vector<StoredRecord> piece = *log->Read(read.size(), 100);
      if (piece.empty()) break;
      largest = std::max(largest, piece.size());
      for (const StoredRecord& record : piece) read.push_back(record.bytes);
    }
    CHECK((read == bytes));
    CHECK(largest < bytes.size());
  }

  SECTION("a batch of many records is stored whole") {
    std::vector<std::string> bytes;
    std::vector<RowChange> rows;
    for (int i = 0; i < 1000; ++i) {
      bytes.push_back(absl::StrCat("record ", i));
      rows.push_back({absl::StrCat("row ", i), absl::StrCat(i)});
    }
    REQUIRE(append(0, bytes, rows) == absl::OkStatus());
    CHECK((BytesOf(*log->Read(0, 2000)) == bytes));
    CHECK(log->ListRows("row ")->size() == 1000);
  }

  SECTION("the oldest records are erased, some at a time, and the others stay as they are") {
    REQUIRE(append(0, {"one", "two", "three", "four", "five"}, {{"a", "1"}}) == absl::OkStatus());
    CHECK(*log->EraseThrough(0, 10) == false);
    CHECK(*log->EraseThrough(3, 2) == true);
    CHECK(BytesOf(*log->Read(2, 10)) == std::vector<std::string>{"three", "four", "five"});
    CHECK(absl::IsDataLoss(log->Read(0, 10).status()));
    CHECK(absl::IsDataLoss(log->Read(1, 1).status()));
    CHECK(*log->EraseThrough(3, 2) == false);
    CHECK(*log->EraseThrough(3, 2) == false);
    CHECK(BytesOf(*log->Read(3, 10)) == std::vector<std::string>{"four", "five"});
    CHECK(log->ReadRows()->position == 5);
    CHECK(*log->GetRow("a") == "1");
    REQUIRE(append(5, {"six"}) == absl::OkStatus());
    log.reset();
    log = OpenAndLead(fixture);
    CHECK(BytesOf(*log->Read(3, 10)) == std::vector<std::string>{"four", "five", "six"});
    CHECK(append(6, {"seven"}) == absl::OkStatus());
  }

  SECTION("the newest record stays") {
    CHECK(*log->EraseThrough(10, 10) == false);
    REQUIRE(append(0, {"one", "two", "three"}) == absl::OkStatus());
    CHECK(*log->EraseThrough(10, 10) == false);
    CHECK(BytesOf(*log->Read(2, 10)) == std::vector<std::string>{"three"});
    CHECK(append(3, {"four"}) == absl::OkStatus());
  }

  SECTION("a log without records may begin later, and one with records not") {
    log->BeginAfter(7);
    CHECK(absl::IsAborted(append(0, {"one"})));
    REQUIRE(append(7, {"eight"}, {{"a", "1"}}) == absl::OkStatus());
    CHECK(BytesOf(*log->Read(7, 10)) == std::vector<std::string>{"eight"});
    log->BeginAfter(20);
    CHECK(absl::IsAborted(append(20, {"other"})));
    CHECK(append(8, {"nine"}) == absl::OkStatus());
  }

  SECTION("whoever opens the log next finds everything") {
    REQUIRE(append(0, {"one", "two"}, {{"a", "1"}, {"b", "2"}}) == absl::OkStatus());
    REQUIRE(append(2, {"three"}, {{"a", std::nullopt}}) == absl::OkStatus());
    log.reset();
    log = OpenAndLead(fixture);
    CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"one", "two", "three"});
    CHECK(*log->ListRows("") == Rows{{"b", "2"}});
    CHECK(append(3, {"four"}) == absl::OkStatus());
  }

  SECTION("a second process is refused while the first has the lease, and told who has it") {
    auto second = fixture.Open();
    const absl::Status refusal =
        second.ok() ? (*second)->TakeLease({"second"}, kLease) : second.status();
    CHECK(absl::IsUnavailable(refusal));
    CHECK_THAT(std::string(refusal.message()), Catch::Contains("first"));
    if (second.ok()) {
      CHECK(absl::IsAborted((*second)->Append(0, RecordsAfter(0, {"one"}), {})));
    }
    CHECK(log->Read(0, 10)->empty());
    // The first one's lease is as good as before.
    CHECK(append(0, {"one"}) == absl::OkStatus());
    CHECK(log->TakeLease({"first"}, kLease) == absl::OkStatus());
  }

  SECTION("a lease ends with the object that took it") {
    log.reset();
    auto second = fixture.Open();
    REQUIRE(second.status() == absl::OkStatus());
    CHECK((*second)->TakeLease({"second"}, kLease) == absl::OkStatus());
  }

  SECTION("nothing is appended without a lease, but everything can be read") {
    REQUIRE(append(0, {"one"}, {{"a", "1"}}) == absl::OkStatus());
    log.reset();
    auto next = fixture.Open();
    REQUIRE(next.status() == absl::OkStatus());
    log = *std::move(next);
    CHECK(absl::IsAborted(append(1, {"two"})));
    CHECK(absl::IsAborted(append(1, {}, {{"a", std::nullopt}})));
    CHECK(absl::IsAborted(log->EraseThrough(1, 1).status()));
    CHECK(BytesOf(*log->Read(0, 10)) == std::vector<std::string>{"one"});
    CHECK(*log->GetRow("a") == "1");
    REQUIRE(log->TakeLease({"first"}, kLease) == absl::OkStatus());
    CHECK(append(1, {"two"}) == absl::OkStatus());
  }
}

// For logs that several processes can open at once.
inline void CheckEndingLeaseContract(EndingLeaseFixture& fixture) {
  using namespace contract;
  const std::unique_ptr<EventLog> first = OpenAndLead(fixture);
  auto opened = fixture.Open();
  REQUIRE(opened.status() == absl::OkStatus());
  const std::unique_ptr<EventLog> second = *std::move(opened);
  REQUIRE(first->Append(0, RecordsAfter(0, {"one"}), {}) == absl::OkStatus());

  SECTION("who does not hold the lease sees what the holder appends") {
    CHECK(BytesOf(*second->Read(0, 10)) == std::vector<std::string>{"one"});
  }

  SECTION("a lease that ended does not append, and can be taken up again") {
    fixture.EndLeases();
    CHECK(absl::IsAborted(first->Append(1, RecordsAfter(1, {"late"}), {})));
    REQUIRE(first->TakeLease({"first"}, kLease) == absl::OkStatus());
    CHECK(first->Append(1, RecordsAfter(1, {"two"}), {}) == absl::OkStatus());
  }

  SECTION("who is refused is told where the holder is reached") {
    REQUIRE(first->TakeLease({"first", "host-1:7443"}, kLease) == absl::OkStatus());
    const absl::Status refused = second->TakeLease({"second", "host-2:7443"}, kLease);
    REQUIRE(IsLeaseHeldByAnother(refused));
    CHECK(ReasonMetadataOf(refused).at("address") == "host-1:7443");
    CHECK(ReasonMetadataOf(refused).at("holder") == "first");
  }

  SECTION("a lease that is renewed does not end") {
    REQUIRE(first->TakeLease({"first"}, kLease) == absl::OkStatus());
    CHECK(absl::IsUnavailable(second->TakeLease({"second"}, kLease)));
  }

  SECTION("another process takes over, and the one before is told and changes nothing") {
    fixture.EndLeases();
    REQUIRE(second->TakeLease({"second"}, kLease) == absl::OkStatus());
    CHECK(absl::IsAborted(first->Append(1, RecordsAfter(1, {"late"}), {})));
    CHECK(absl::IsAborted(first->Append(1, {}, std::vector<RowChange>{{"late", "row"}})));
    CHECK(absl::IsAborted(first->EraseThrough(1, 1).status()));
    REQUIRE(second->Append(1, RecordsAfter(1, {"two"}), {}) == absl::OkStatus());
    CHECK(BytesOf(*second->Read(0, 10)) == std::vector<std::string>{"one", "two"});
    CHECK(second->ListRows("")->empty());

    const absl::Status lost = first->TakeLease({"first"}, kLease);
    CHECK(absl::IsAborted(lost));
    CHECK_THAT(std::string(lost.message()), Catch::Contains("second"));
    // Now it knows, and stands in line like anyone else.
    CHECK(absl::IsUnavailable(first->TakeLease({"first"}, kLease)));
  }

  SECTION("who lost the lease is told so even when it is free again") {
    fixture.EndLeases();
    REQUIRE(second->TakeLease({"second"}, kLease) == absl::OkStatus());
    REQUIRE(second->Append(1, RecordsAfter(1, {"two"}), {}) == absl::OkStatus());
    fixture.EndLeases();
    CHECK(absl::IsAborted(first->TakeLease({"first"}, kLease)));
    CHECK(first->TakeLease({"first"}, kLease) == absl::OkStatus());
    CHECK(absl::IsAborted(first->Append(1, RecordsAfter(1, {"late"}), {})));
    CHECK(first->Append(2, RecordsAfter(2, {"three"}), {}) == absl::OkStatus());
  }
}

}  // namespace berth
