#include "common/eventlog/snapshot_row.h"

#include <catch2/catch.hpp>

#include "common/testing/printers.h"

namespace berth {
namespace {

eventlog::v1::Snapshot SomeSnapshot() {
  eventlog::v1::Snapshot snapshot;
  snapshot.set_stream("scheduler");
  snapshot.set_position(12);
  for (int i = 0; i < 1000; ++i) *snapshot.mutable_state() += "a state says the same many times";
  return snapshot;
}

TEST_CASE("a snapshot is read from its row as it was, and takes less room there",
          "[eventlog][snapshot_row]") {
  const std::string row = ToRow(SomeSnapshot());
  CHECK(row.size() < SomeSnapshot().ByteSizeLong() / 10);
  const auto snapshot = FromRow(row);
  REQUIRE(snapshot.status() == absl::OkStatus());
  CHECK((snapshot->SerializeAsString() == SomeSnapshot().SerializeAsString()));
}

TEST_CASE("a row with any bit flipped, or cut anywhere, is no snapshot",
          "[eventlog][snapshot_row]") {
  const std::string row = ToRow(SomeSnapshot());
  for (size_t i = 0; i < row.size(); ++i) {
    std::string damaged = row;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    INFO("byte " << i);
    CHECK_FALSE(FromRow(damaged).ok());
    CHECK_FALSE(FromRow(row.substr(0, i)).ok());
  }
}

TEST_CASE("a row of a later format is named as such", "[eventlog][snapshot_row]") {
  eventlog::v1::SnapshotRow row;
  row.set_format(2);
  const absl::Status status = FromRow(row.SerializeAsString()).status();
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(status.message()), Catch::Contains("format 2"));
}

}  // namespace
}  // namespace berth
