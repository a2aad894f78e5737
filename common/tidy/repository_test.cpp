#include "common/tidy/repository.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "common/files/atomic_file.h"
#include "common/testing/temp_dir.h"

namespace berth::tidy {
namespace {

void Put(const testing::TempDir& dir, const std::string& name) {
  const std::string path = dir.File(name);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  REQUIRE(WriteFileAtomically(path, "text of " + name, 0644).ok());
}

TEST_CASE("the walk reads what people write and nothing else", "[tidy][repository]") {
  const testing::TempDir dir;
  for (const std::string name :
       {"README.md", "common/a/a.h", "common/a/CMakeLists.txt", "build/dev/b.cpp", ".git/c.h",
        "made/CMakeCache.txt", "made/d.cpp", "edge/testdata/e.md", "third_party/f.h", "g.png"}) {
    Put(dir, name);
  }
  const auto files = ReadRepository(dir.path());
  REQUIRE(files.ok());
  REQUIRE(files->size() == 3);
  CHECK((*files)[0].path == "README.md");
  CHECK((*files)[1].path == "common/a/CMakeLists.txt");
  CHECK((*files)[2].path == "common/a/a.h");
  CHECK((*files)[2].text == "text of common/a/a.h");
}

TEST_CASE("the root is found from below", "[tidy][repository]") {
  const testing::TempDir dir;
  CHECK(FindRoot(dir.path()).status().code() == absl::StatusCode::kNotFound);
  Put(dir, "CMakePresets.json");
  Put(dir, "common/tidy/rules.h");
  CHECK(*FindRoot(dir.path()) == dir.path());
  CHECK(*FindRoot(dir.File("common/tidy")) == dir.path());
}

TEST_CASE("a folder that is not there is an error, not an empty repository", "[tidy][repository]") {
  const testing::TempDir dir;
  CHECK_FALSE(ReadRepository(dir.File("none")).ok());
}

}  // namespace
}  // namespace berth::tidy
