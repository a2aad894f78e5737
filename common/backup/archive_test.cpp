#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/backup/archive_reader.h"
#include "common/backup/archive_writer.h"
#include "common/files/atomic_file.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;

size_t FilesIn(const std::string& folder) {
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++files;
  return files;
}

// An archive of two pieces.
void Write(const std::string& path) {
  auto writer = ArchiveWriter::Create(path);
  REQUIRE(writer.status() == absl::OkStatus());
  REQUIRE((*writer)->Add("a", std::string(100'000, 'a'), 0600) == absl::OkStatus());
  REQUIRE((*writer)->Add("folder/b", "", 0644) == absl::OkStatus());
  REQUIRE((*writer)->Finish() == absl::OkStatus());
}

// OK where all of it can be read.
absl::Status ReadAll(const std::string& path) {
  auto reader = ArchiveReader::Open(path);
  if (!reader.ok()) return reader.status();
  while (true) {
    const auto entry = reader->Next();
    if (!entry.ok()) return entry.status();
    if (!entry->has_value()) return absl::OkStatus();
  }
}

TEST_CASE("what was put into an archive is read from it, in order", "[backup][archive]") {
  const testing::TempDir folder;
  const std::string path = folder.File("archive");
  Write(path);
  struct stat found;
  REQUIRE(stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & ACCESSPERMS) == 0600);

  auto reader = ArchiveReader::Open(path);
  REQUIRE(reader.ok());
  const auto first = reader->Next();
  REQUIRE((first.ok() && first->has_value()));
  CHECK((*first)->name == "a");
  CHECK((*first)->bytes == std::string(100'000, 'a'));
  CHECK((*first)->mode == 0600);
  const auto second = reader->Next();
  REQUIRE((second.ok() && second->has_value()));
  CHECK((*second)->name == "folder/b");
  CHECK((*second)->bytes.empty());
  CHECK((*second)->mode == 0644);
  const auto end = reader->Next();
  REQUIRE(end.ok());
  CHECK_FALSE(end->has_value());
}

TEST_CASE("an archive has its name once it is whole, and takes nobody else's",
          "[backup][archive]") {
  const testing::TempDir folder;
  const std::string path = folder.File("archive");
  {
    auto writer = ArchiveWriter::Create(path);
    REQUIRE(writer.ok());
    REQUIRE((*writer)->Add("a", "a", 0600) == absl::OkStatus());
    CHECK_FALSE(std::filesystem::exists(path));
    SECTION("it is not finished") {}
    SECTION("somebody else was faster") {
      std::ofstream(path) << "somebody else's";
      CHECK(absl::IsAlreadyExists((*writer)->Finish()));
      CHECK(*ReadFile(path, kFileBytesMax) == "somebody else's");
      std::filesystem::remove(path);
    }
  }
  CHECK(FilesIn(folder.File("")) == 0);
  std::ofstream(path) << "somebody else's";
  CHECK(absl::IsAlreadyExists(ArchiveWriter::Create(path).status()));
}

TEST_CASE("what is no archive is refused", "[backup][archive]") {
  const testing::TempDir folder;
  const std::string path = folder.File("archive");
  SECTION("no file") { CHECK(absl::IsNotFound(ReadAll(path))); }
  SECTION("another file") {
    std::ofstream(path) << "Hello.";
    CHECK(absl::IsDataLoss(ReadAll(path)));
  }
  SECTION("half of one") {
    Write(path);
    std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
    CHECK(absl::IsDataLoss(ReadAll(path)));
  }
}

}  // namespace
}  // namespace berth
