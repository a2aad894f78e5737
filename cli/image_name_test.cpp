#include "cli/image_name.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/testing/printers.h"

namespace berth::cli {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST_CASE("an image reference is taken apart as container tools do", "[cli][image]") {
  struct Row {
    std::string reference;
    ImageName name;
    bool local = false;
  };
  for (const Row& row : std::vector<Row>{
           {"nginx", {"docker.io", "library/nginx", "latest", ""}},
           {"acme/notes:1.8", {"docker.io", "acme/notes", "1.8", ""}},
           {"ghcr.io/acme/notes", {"ghcr.io", "acme/notes", "latest", ""}},
           {"registry.example.com:5000/notes:2", {"registry.example.com:5000", "notes", "2", ""}},
           {"localhost:5000/notes", {"localhost:5000", "notes", "latest", ""}},
           {"localhost/hello", {"localhost", "hello", "latest", ""}, true},
           {"localhost/hello:dev", {"localhost", "hello", "dev", ""}, true},
           {"ghcr.io/acme/notes@" + kDigest, {"ghcr.io", "acme/notes", "", kDigest}},
           {"ghcr.io/acme/notes:1@" + kDigest, {"ghcr.io", "acme/notes", "1", kDigest}}}) {
    INFO(row.reference);
    const auto name = ParseImageName(row.reference);
    REQUIRE(name.ok());
    CHECK(*name == row.name);
    CHECK(name->is_local() == row.local);
  }
}

TEST_CASE("what names no image is refused", "[cli][image]") {
  for (const std::string text : {"", "Notes", "a b", "notes:", "notes@sha256:12", "a//b"}) {
    CHECK(ParseImageName(text).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("a resolved image keeps its name and loses its tag", "[cli][image]") {
  CHECK(ParseImageName("nginx:1")->WithDigest(kDigest) == "docker.io/library/nginx@" + kDigest);
  CHECK(ParseImageName("localhost/hello:dev")->WithDigest(kDigest) == "localhost/hello@" + kDigest);
}

TEST_CASE("a digest is sha256 and 64 digits", "[cli][image]") {
  CHECK(IsDigest(kDigest));
  CHECK_FALSE(IsDigest(kDigest + "a"));
  CHECK_FALSE(IsDigest("sha256:" + std::string(64, 'A')));
  CHECK_FALSE(IsDigest("sha512:" + std::string(64, 'a')));
  CHECK_FALSE(IsDigest(""));
}

}  // namespace
}  // namespace berth::cli
