#include "common/eventlog/request_index.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "common/testing/printers.h"
#include "common/time/timestamp.h"

namespace berth {
namespace {

const absl::Time kBegin = absl::FromUnixSeconds(1'700'000'000);
const std::string kKey(32, 'k');

eventlog::v1::Record RecordAt(uint64_t position, absl::Time time, const std::string& request_id) {
  eventlog::v1::Record record;
  record.set_position(position);
  *record.mutable_time() = ToTimestamp(time);
  record.mutable_actor()->set_principal("user/a");
  record.set_method("Deploy");
  record.set_request_id(request_id);
  return record;
}

std::optional<uint64_t> Find(const RequestIndex& index, const std::string& request_id) {
  return index.Find("user/a", "Deploy", request_id);
}

TEST_CASE("a request is found by who asked what under which id", "[eventlog][request_index]") {
  RequestIndex index(10, kKey);
  index.Remember(RecordAt(7, kBegin, "r1"));
  CHECK(Find(index, "r1") == 7);
  CHECK(Find(index, "r2") == std::nullopt);
  CHECK(index.Find("user/b", "Deploy", "r1") == std::nullopt);
  CHECK(index.Find("user/a", "Scale", "r1") == std::nullopt);
  index.Remember(RecordAt(8, kBegin, ""));
  CHECK(index.size() == 1);
}

TEST_CASE("a request is remembered for a day, and no longer than it takes others to come",
          "[eventlog][request_index]") {
  RequestIndex index(10, kKey);
  index.Remember(RecordAt(1, kBegin, "r1"));
  index.Remember(RecordAt(2, kBegin + RequestIndex::kKept, "r2"));
  CHECK(Find(index, "r1") == 1);
  index.Remember(RecordAt(3, kBegin + RequestIndex::kKept + absl::Seconds(1), "r3"));
  CHECK(Find(index, "r1") == std::nullopt);
  CHECK(Find(index, "r2") == 2);
}

TEST_CASE("a full index says when there is room again, and forgets nothing before",
          "[eventlog][request_index]") {
  RequestIndex index(2, kKey);
  index.Remember(RecordAt(1, kBegin, "r1"));
  CHECK(index.FullFor(kBegin) == std::nullopt);
  index.Remember(RecordAt(2, kBegin + absl::Hours(1), "r2"));
  const absl::Time now = kBegin + absl::Hours(2);
  const std::optional<absl::Duration> delay = index.FullFor(now);
  REQUIRE(delay.has_value());
  CHECK(*delay == absl::Hours(22) + absl::Seconds(1));
  CHECK(index.FullFor(now + *delay) == std::nullopt);
  CHECK(Find(index, "r1") == 1);
  index.Remember(RecordAt(3, now + *delay, "r3"));
  CHECK(Find(index, "r1") == std::nullopt);
  CHECK(index.size() == 2);
}

TEST_CASE("what is used again under the same id is kept as long as its newest record",
          "[eventlog][request_index]") {
  RequestIndex index(10, kKey);
  index.Remember(RecordAt(1, kBegin, "r1"));
  index.Remember(RecordAt(2, kBegin + absl::Hours(1), "r1"));
  index.Remember(RecordAt(3, kBegin + absl::Hours(24) + absl::Seconds(1), "r2"));
  CHECK(Find(index, "r1") == 2);
}

TEST_CASE("an index is what it was when it is saved and loaded", "[eventlog][request_index]") {
  RequestIndex index(100, kKey);
  // Clocks are set back now and then.
  const absl::Duration times[] = {absl::Hours(2), absl::ZeroDuration(), absl::Hours(1)};
  for (uint64_t i = 0; i < 30; ++i) {
    index.Remember(RecordAt(10 + 3 * i, kBegin + times[i % 3], absl::StrCat("r", i)));
  }
  RequestIndex loaded(100, kKey);
  REQUIRE(loaded.Load(index.Save()));
  CHECK(loaded.size() == 30);
  for (uint64_t i = 0; i < 30; ++i) CHECK(Find(loaded, absl::StrCat("r", i)) == 10 + 3 * i);
  CHECK(loaded.Save().SerializeAsString() == index.Save().SerializeAsString());
  // Times came along: the first one, of the second hour, is forgotten as before.
  loaded.Remember(RecordAt(200, kBegin + absl::Hours(26) + absl::Seconds(1), "late"));
  CHECK(Find(loaded, "r0") == std::nullopt);
}

TEST_CASE("lists that do not belong together are no index", "[eventlog][request_index]") {
  RequestIndex index(100, kKey);
  index.Remember(RecordAt(1, kBegin, "r1"));
  eventlog::v1::RequestIndex saved = index.Save();
  saved.add_keys(1);
  CHECK_FALSE(index.Load(saved));
  CHECK(index.size() == 0);
}

}  // namespace
}  // namespace berth
