#include "cli/errors.h"

#include <catch2/catch.hpp>
#include <vector>

#include "cli/exit_code.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"

namespace berth::cli {
namespace {

TEST_CASE("every error has its exit code", "[cli][exit-code]") {
  struct Row {
    absl::Status status;
    int code;
  };
  for (const Row& row :
       std::vector<Row>{{absl::OkStatus(), 0},
                        {absl::InternalError("x"), 1},
                        {absl::UnknownError("x"), 1},
                        {absl::DataLossError("x"), 1},
                        {absl::UnimplementedError("x"), 1},
                        {UsageError("x"), 2},
                        {WithAction(UsageError("x"), "y"), 2},
                        {absl::NotFoundError("x"), 3},
                        {absl::OutOfRangeError("x"), 3},
                        {absl::UnauthenticatedError("x"), 4},
                        {absl::PermissionDeniedError("x"), 4},
                        {absl::AlreadyExistsError("x"), 5},
                        {absl::AbortedError("x"), 5},
                        {absl::FailedPreconditionError("x"), 5},
                        {absl::DeadlineExceededError("x"), 6},
                        {absl::UnavailableError("x"), 7},
                        {absl::InvalidArgumentError("x"), 8},
                        {WithReason(absl::InvalidArgumentError("x"), reason::kManifestInvalid), 8},
                        {WithReason(absl::AbortedError("x"), kRolloutFailedReason), 9},
                        {absl::ResourceExhaustedError("x"), 10},
                        {absl::CancelledError("x"), 130}}) {
    CHECK(static_cast<int>(ExitCodeFor(row.status)) == row.code);
  }
}

TEST_CASE("an error says what is wrong and what to do next", "[cli][errors]") {
  CHECK(ErrorText(WithAction(absl::NotFoundError("there is no context x"), "look")) ==
        "error: there is no context x\nnext: look\n");
  CHECK(ErrorText(absl::InternalError("oops")) == "error: oops\n");
  CHECK(ErrorText(absl::UnauthenticatedError("no token")) ==
        "error: no token\nnext: sign in with `berth login`\n");
}

TEST_CASE("wrong fields are listed unless the message has them", "[cli][errors]") {
  const std::vector<FieldViolation> violations = {{"processes.web", "has no port http"}};
  CHECK(ErrorText(
            WithFieldViolations(absl::InvalidArgumentError("the manifest is wrong"), violations)) ==
        "error: the manifest is wrong\n  processes.web: has no port http\n");
  CHECK(ErrorText(WithFieldViolations(
            absl::InvalidArgumentError("berth.yaml:3:5: processes.web: has no port http"),
            violations)) == "error: berth.yaml:3:5: processes.web: has no port http\n");
}

TEST_CASE("what an error quotes cannot steer the terminal", "[cli][errors]") {
  CHECK(ErrorText(absl::AbortedError("a\nb\x1b[2Jc\r")) == "error: a\nb?[2Jc?\n");
}

TEST_CASE("an error under -o json is this document", "[cli][errors]") {
  const absl::Status status =
      WithFieldViolations(WithReason(absl::InvalidArgumentError("wrong"), reason::kManifestInvalid,
                                     {{"action", "fix"}}),
                          {{"app", "is missing"}});
  CHECK(ErrorDocument(status) ==
        R"({"schema":"berth.cli/v1","kind":"Error","code":"MANIFEST_INVALID",)"
        R"("grpcCode":"INVALID_ARGUMENT","message":"wrong","action":"fix",)"
        R"("fields":[{"field":"app","description":"is missing"}]})"
        "\n");
  CHECK(ErrorDocument(absl::NotFoundError("gone")) ==
        R"({"schema":"berth.cli/v1","kind":"Error","code":"NOT_FOUND","grpcCode":"NOT_FOUND",)"
        R"("message":"gone","action":"","fields":[]})"
        "\n");
}

}  // namespace
}  // namespace berth::cli
