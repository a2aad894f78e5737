#include "common/libpod/libpod_error.h"

#include <catch2/catch.hpp>

#include "common/testing/printers.h"

namespace berth {
namespace {

TEST_CASE("what a host lacks is said with what to do", "[libpod][error]") {
  const auto [message, remedy] = GENERATE(table<const char*, const char*>({
      {"crun: cgroups in hybrid mode not supported: OCI runtime error", "set runtime=\"runc\""},
      {"runc: setrlimit RLIMIT_NOFILE: Operation not permitted", "default_ulimits"},
      {"netavark: No such file or directory (os error 2)", "install iptables"},
      {"plugin type=\"bridge\" failed: failed to find plugin \"bridge\"", "install netavark"},
  }));
  const absl::Status status = LibpodError(500, message);
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(status.message()), Catch::Contains(remedy));
  CHECK_THAT(std::string(status.message()), Catch::Contains(message));
}

TEST_CASE("failures that Podman tells apart in words get a code of their own", "[libpod][error]") {
  const auto [message, code] = GENERATE(table<const char*, absl::StatusCode>({
      {"OCI runtime attempted to invoke a command that was not found",
       absl::StatusCode::kInvalidArgument},
      {"mkdir /var/lib: no space left on device", absl::StatusCode::kResourceExhausted},
      {"the container name \"berth-a\" is already in use", absl::StatusCode::kAlreadyExists},
      {"something nobody has seen", absl::StatusCode::kUnavailable},
  }));
  CHECK(LibpodError(500, message).code() == code);
}

TEST_CASE("a failed pull is not found, not allowed, or to be tried again", "[libpod][error]") {
  const auto [message, code] = GENERATE(table<const char*, absl::StatusCode>({
      {"reading manifest sha256:1 in quay.io/x: manifest unknown", absl::StatusCode::kNotFound},
      {"initializing source docker://r/x:1: reading manifest 1 in r/x: name unknown",
       absl::StatusCode::kNotFound},
      {"unauthorized: access to the requested resource is not authorized",
       absl::StatusCode::kPermissionDenied},
      {"requested access to the resource is denied", absl::StatusCode::kPermissionDenied},
      {"reading manifest sha256:1 in r/x: StatusCode: 404, nope", absl::StatusCode::kNotFound},
      {"dial tcp 127.0.0.1:1: connect: connection refused", absl::StatusCode::kUnavailable},
      {"write /var/tmp/x: no space left on device", absl::StatusCode::kResourceExhausted},
  }));
  const absl::Status status = PullError("r/x:1", message);
  CHECK(status.code() == code);
  CHECK_THAT(std::string(status.message()), Catch::Contains("r/x:1"));
}

TEST_CASE("an image's own name says nothing about why its pull failed", "[libpod][error]") {
  const absl::Status status =
      PullError("r/not-found/access-is denied@sha256:1",
                "initializing source docker://r/not-found/access-is denied@sha256:1: reading "
                "manifest in r/not-found/access-is denied: received unexpected HTTP status: 503");
  CHECK(status.code() == absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace berth
