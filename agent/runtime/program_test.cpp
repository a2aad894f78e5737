#include "agent/runtime/program.h"

#include <catch2/catch.hpp>

#include "common/testing/printers.h"

namespace berth {
namespace {

TEST_CASE("a program's code and both its streams come back", "[agent][program]") {
  const auto result = RunProgram({"sh", "-c", "echo out; echo err >&2; exit 3"}, {});
  REQUIRE(result.ok());
  CHECK(result->exit_code == 3);
  CHECK(result->output == "out\nerr\n");
}

TEST_CASE("a program ended by a signal has a code above 128", "[agent][program]") {
  const auto result = RunProgram({"sh", "-c", "kill -9 $$"}, {});
  REQUIRE(result.ok());
  CHECK(result->exit_code == 137);
}

TEST_CASE("output beyond the limit is dropped, and the program still ends", "[agent][program]") {
  const auto result =
      RunProgram({"sh", "-c", "head -c 1000000 /dev/zero"}, {.output_bytes_max = 100});
  REQUIRE(result.ok());
  CHECK(result->exit_code == 0);
  CHECK(result->output.size() == 100);
}

TEST_CASE("a program that outlasts its timeout is killed with what it started",
          "[agent][program]") {
  bool told = false;
  const auto result = RunProgram({"sh", "-c", "sleep 1000 | sleep 1000"},
                                 {.timeout = absl::Milliseconds(50)}, [&] { told = true; });
  CHECK(result.status().code() == absl::StatusCode::kDeadlineExceeded);
  CHECK(told);
}

TEST_CASE("a program is over when it ends, though a child of it keeps its output open",
          "[agent][program]") {
  const auto result = RunProgram({"sh", "-c", "sleep 5 & echo done"}, {});
  REQUIRE(result.ok());
  CHECK(result->output == "done\n");
}

TEST_CASE("a missing program is not found", "[agent][program]") {
  CHECK(RunProgram({"no-such-program-of-berth"}, {}).status() ==
        absl::NotFoundError("there is no program no-such-program-of-berth"));
  CHECK_FALSE(FindProgram("/no/such/program"));
  CHECK(FindProgram("sh"));
}

}  // namespace
}  // namespace berth
