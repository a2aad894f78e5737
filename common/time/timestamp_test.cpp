#include "common/time/timestamp.h"

#include <catch2/catch.hpp>

namespace berth {
namespace {

TEST_CASE("a time survives its way through a message to the nanosecond", "[time]") {
  const absl::Time time =
      GENERATE(absl::UnixEpoch(), absl::FromUnixNanos(1'700'000'000'000'000'001),
               absl::FromUnixNanos(999'999'999), absl::FromUnixNanos(-1));
  CHECK(FromTimestamp(ToTimestamp(time)) == time);
}

TEST_CASE("a time before 1970 has nanoseconds that count forwards", "[time]") {
  const google::protobuf::Timestamp timestamp = ToTimestamp(absl::FromUnixNanos(-1));
  CHECK(timestamp.seconds() == -1);
  CHECK(timestamp.nanos() == 999'999'999);
}

TEST_CASE("a duration is its seconds and its nanoseconds", "[time]") {
  google::protobuf::Duration duration;
  duration.set_seconds(2);
  duration.set_nanos(500'000'000);
  CHECK(FromProtoDuration(duration) == absl::Milliseconds(2500));
}

TEST_CASE("a duration comes back as it went", "[time]") {
  const absl::Duration duration =
      GENERATE(absl::ZeroDuration(), absl::Nanoseconds(1), -absl::Nanoseconds(1),
               absl::Hours(1) + absl::Nanoseconds(7), -absl::Milliseconds(2500));
  const google::protobuf::Duration proto = ToProtoDuration(duration);
  CHECK(FromProtoDuration(proto) == duration);
  CHECK(proto.seconds() * proto.nanos() >= 0);
}

}  // namespace
}  // namespace berth
