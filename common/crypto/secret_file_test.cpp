#include "common/crypto/secret_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "common/files/atomic_file.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

TEST_CASE("a secret file is read into guarded memory", "[crypto][secret-file]") {
  const testing::TempDir dir;
  const std::string bytes = GENERATE(std::string(), std::string("a\0b", 3));
  const mode_t mode = GENERATE(0600, 0400, 0700);
  REQUIRE(WriteFileAtomically(dir.File("key"), bytes, mode).ok());
  const auto read = ReadSecretFile(dir.File("key"), 3);
  REQUIRE(read.ok());
  CHECK(read->view() == bytes);
}

TEST_CASE("a secret file that others may touch is refused with the chmod that mends it",
          "[crypto][secret-file]") {
  const testing::TempDir dir;
  const std::string path = dir.File("key");
  const mode_t mode = GENERATE(0640, 0604, 0620, 0602, 0610, 0601, 0666);
  REQUIRE(WriteFileAtomically(path, "secret", mode).ok());
  const auto read = ReadSecretFile(path, 100);
  REQUIRE(read.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(read.status().message()), Catch::EndsWith("run: chmod 600 " + path));
  REQUIRE(chmod(path.c_str(), 0600) == 0);
  CHECK(ReadSecretFile(path, 100).ok());
}

TEST_CASE("what is no small regular file is no secret file", "[crypto][secret-file]") {
  const testing::TempDir dir;
  CHECK(ReadSecretFile(dir.File("none"), 9).status().code() == absl::StatusCode::kNotFound);
  CHECK(ReadSecretFile(dir.path(), 9).status().code() == absl::StatusCode::kFailedPrecondition);
  REQUIRE(mkfifo(dir.File("fifo").c_str(), 0600) == 0);
  CHECK(ReadSecretFile(dir.File("fifo"), 9).status().code() ==
        absl::StatusCode::kFailedPrecondition);
  REQUIRE(WriteFileAtomically(dir.File("large"), "0123456789", 0600).ok());
  CHECK(ReadSecretFile(dir.File("large"), 10).ok());
  CHECK(ReadSecretFile(dir.File("large"), 9).status().code() ==
        absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace berth
