#include <catch2/catch.hpp>

#include "common/status/error_details.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

absl::StatusOr<int> Half(int number) {
  if (number % 2 != 0) return absl::InvalidArgumentError("odd");
  return number / 2;
}

absl::StatusOr<int> Quarter(int number) {
  BERTH_ASSIGN_OR_RETURN(const int half, Half(number));
  return Half(half);
}

TEST_CASE("the macros pass values on and leave with errors", "[status]") {
  CHECK(*Quarter(12) == 3);
  CHECK(Quarter(6).status() == absl::InvalidArgumentError("odd"));
  CHECK(Quarter(5).status() == absl::InvalidArgumentError("odd"));
}

TEST_CASE("details survive annotation", "[status]") {
  absl::Status status = WithRetryDelay(
      WithReason(absl::UnavailableError("full"), reason::kQueueFull, {{"limit", "10"}}),
      absl::Milliseconds(1500));
  status = Annotate(WithFieldViolations(status, {{"a.b", "is missing"}}), "config");
  CHECK(status.message() == "config: full");
  CHECK(ReasonOf(status) == "QUEUE_FULL");
  CHECK(ReasonMetadataOf(status).at("limit") == "10");
  CHECK(RetryDelayOf(status) == absl::Milliseconds(1500));
  REQUIRE(FieldViolationsOf(status).size() == 1);
  CHECK(FieldViolationsOf(status)[0].field == "a.b");
  CHECK(ReasonOf(absl::InternalError("x")).empty());
}

}  // namespace
}  // namespace berth
