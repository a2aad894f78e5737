#include "agent/secrets/secrets_mount.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "common/files/atomic_file.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth::agent {
namespace {

constexpr size_t kSizeMax = 1 << 20;

// A folder on a tmpfs, which every Linux machine has there.
struct Memory {
  Memory() : folder("/dev/shm/berth-test-" + std::to_string(getpid())), mount(folder) {}
  ~Memory() { std::filesystem::remove_all(folder); }

  std::string folder;
  SecretsMount mount;
};

std::string Write(SecretsMount* mount, const std::string& instance, const std::string& content) {
  const auto path = mount->Write(instance, SecretBytes::CopyOf(content));
  REQUIRE(path.status() == absl::OkStatus());
  return *path;
}

TEST_CASE("a secrets file is its owner's alone", "[agent][secrets-mount]") {
  Memory memory;
  const std::string path = Write(&memory.mount, "web-1", "K=\"v\"\n");
  struct stat file;
  REQUIRE(stat(path.c_str(), &file) == 0);
  CHECK((file.st_mode & 07777) == 0400);
  CHECK(file.st_uid == getuid());
  struct stat folder;
  REQUIRE(stat(memory.folder.c_str(), &folder) == 0);
  CHECK((folder.st_mode & 07777) == 0700);
  CHECK(*ReadFile(path, kSizeMax) == "K=\"v\"\n");
}

TEST_CASE("a later attempt's file is a new one at the same path", "[agent][secrets-mount]") {
  Memory memory;
  const std::string first = Write(&memory.mount, "web-1", "old");
  struct stat before;
  REQUIRE(stat(first.c_str(), &before) == 0);
  CHECK(Write(&memory.mount, "web-1", "new") == first);
  struct stat after;
  REQUIRE(stat(first.c_str(), &after) == 0);
  CHECK(before.st_ino != after.st_ino);
  CHECK(*ReadFile(first, kSizeMax) == "new");
}

TEST_CASE("what a crash left half-made is in nobody's way", "[agent][secrets-mount]") {
  Memory memory;
  std::filesystem::create_directories(memory.folder + "/web-1.new");
  CHECK(WriteFileAtomically(memory.folder + "/web-1.new/secrets.env", "half", 0400) ==
        absl::OkStatus());
  CHECK(*ReadFile(Write(&memory.mount, "web-1", "whole"), kSizeMax) == "whole");
}

TEST_CASE("what is removed, and what is not kept, is gone", "[agent][secrets-mount]") {
  Memory memory;
  const std::string one = Write(&memory.mount, "web-1", "1");
  const std::string two = Write(&memory.mount, "web-2", "2");
  const std::string three = Write(&memory.mount, "web-3", "3");
  CHECK(memory.mount.Remove("web-1") == absl::OkStatus());
  CHECK(memory.mount.Remove("web-1") == absl::OkStatus());
  CHECK(memory.mount.KeepOnly({"web-3"}) == absl::OkStatus());
  CHECK_FALSE(std::filesystem::exists(one));
  CHECK_FALSE(std::filesystem::exists(two));
  CHECK(std::filesystem::exists(three));
  CHECK(memory.mount.Unmount() == absl::OkStatus());
  CHECK_FALSE(std::filesystem::exists(memory.folder));
}

}  // namespace
}  // namespace berth::agent
