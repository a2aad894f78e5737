#include "common/files/atomic_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

mode_t ModeOf(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

size_t FilesIn(const std::string& folder) {
  const std::filesystem::directory_iterator files(folder);
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

TEST_CASE("a written file has the bytes and the mode asked for", "[files]") {
  const testing::TempDir dir;
  const std::string path = dir.File("table");
  const std::string bytes("one\0two", 7);
  const mode_t mode = GENERATE(0600, 0644, 0666, 0400);
  const mode_t umask_before = umask(0077);
  const absl::Status written = WriteFileAtomically(path, bytes, mode);
  umask(umask_before);
  REQUIRE(written == absl::OkStatus());
  CHECK(*ReadFile(path, 100) == bytes);
  CHECK(ModeOf(path) == mode);
}

TEST_CASE("a file is replaced whole and nothing is left beside it", "[files]") {
  const testing::TempDir dir;
  const std::string path = dir.File("table");
  REQUIRE(WriteFileAtomically(path, std::string(100'000, 'a'), 0600).ok());
  REQUIRE(WriteFileAtomically(path, "short", 0600).ok());
  CHECK(*ReadFile(path, 100) == "short");
  CHECK(FilesIn(dir.path()) == 1);
}

TEST_CASE("who has the old file open keeps reading the old bytes", "[files]") {
  const testing::TempDir dir;
  const std::string path = dir.File("table");
  REQUIRE(WriteFileAtomically(path, "old", 0600).ok());
  std::filesystem::create_hard_link(path, dir.File("open"));
  REQUIRE(WriteFileAtomically(path, "new", 0600).ok());
  CHECK(*ReadFile(dir.File("open"), 100) == "old");
}

TEST_CASE("creating a file never replaces one", "[files]") {
  const testing::TempDir dir;
  const std::string path = dir.File("key");
  REQUIRE(CreateFileAtomically(path, "first", 0600).ok());
  CHECK(CreateFileAtomically(path, "second", 0600).code() == absl::StatusCode::kAlreadyExists);
  CHECK(*ReadFile(path, 100) == "first");
  CHECK(FilesIn(dir.path()) == 1);
}

TEST_CASE("a write that fails leaves nothing and names the file", "[files]") {
  const testing::TempDir dir;
  SECTION("the folder is not there") {
    const absl::Status status = WriteFileAtomically(dir.File("none/table"), "x", 0600);
    CHECK(status.code() == absl::StatusCode::kNotFound);
    CHECK_THAT(std::string(status.message()), Catch::Contains("none/table"));
  }
  SECTION("the name is taken by a folder") {
    std::filesystem::create_directories(dir.File("table/inside"));
    CHECK_FALSE(WriteFileAtomically(dir.File("table"), "x", 0600).ok());
    CHECK(FilesIn(dir.path()) == 1);
  }
}

TEST_CASE("a file is read up to its limit and not a byte more", "[files]") {
  const testing::TempDir dir;
  const std::string path = dir.File("table");
  REQUIRE(WriteFileAtomically(path, "12345", 0600).ok());
  CHECK(ReadFile(path, 5).ok());
  CHECK(ReadFile(path, 4).status().code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("what is no regular file is not read", "[files]") {
  const testing::TempDir dir;
  CHECK(ReadFile(dir.File("none"), 10).status().code() == absl::StatusCode::kNotFound);
  CHECK(ReadFile(dir.path(), 10).status().code() == absl::StatusCode::kFailedPrecondition);
  REQUIRE(mkfifo(dir.File("fifo").c_str(), 0600) == 0);
  CHECK(ReadFile(dir.File("fifo"), 10).status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(ReadFile("/dev/zero", 10).status().code() == absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace berth
