// The repository's own rules, held against the repository.

#include <catch2/catch.hpp>

#include "common/tidy/repository.h"
#include "common/tidy/rules.h"

namespace berth::tidy {
namespace {

std::vector<File> Repository() {
  const auto root = FindRoot(".");
  REQUIRE(root.ok());
  auto files = ReadRepository(*root);
  REQUIRE(files.ok());
  // An empty walk would keep every rule.
  REQUIRE(std::any_of(files->begin(), files->end(),
                      [](const File& file) { return file.path == "common/tidy/tidy_test.cpp"; }));
  return *std::move(files);
}

void ExpectNone(const std::vector<Finding>& findings) {
  INFO("broken rules:\n" << Format(findings));
  CHECK(findings.empty());
}

void ExpectNoneIn(std::vector<Finding> (*check)(const File&)) {
  std::vector<Finding> findings;
  for (const File& file : Repository()) {
    for (Finding& finding : check(file)) findings.push_back(std::move(finding));
  }
  ExpectNone(findings);
}

TEST_CASE("every text keeps its form", "[tidy]") { ExpectNoneIn(CheckText); }

TEST_CASE("every file includes only what it may", "[tidy]") { ExpectNoneIn(CheckIncludes); }

TEST_CASE("nothing sleeps, starts a thread or reads a clock out of place", "[tidy]") {
  ExpectNoneIn(CheckCalls);
}

TEST_CASE("every source is built", "[tidy]") { ExpectNone(CheckEverySourceIsBuilt(Repository())); }

TEST_CASE("every folder with sources has a README", "[tidy]") {
  ExpectNone(CheckEveryFolderIsExplained(Repository()));
}

}  // namespace
}  // namespace berth::tidy
