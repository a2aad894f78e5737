#include "agent/secrets/secrets_file.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"
#include "common/testing/printers.h"

namespace berth::agent {
namespace {

using Catch::Contains;

// The file as text: the values of a test are none.
std::string Render(const std::map<std::string, absl::string_view>& values) {
  const auto file = RenderSecretsFile(values);
  REQUIRE(file.status() == absl::OkStatus());
  return std::string(file->view());
}

std::string WithDigest(const std::string& lines) {
  return absl::StrCat(lines, "# sha256:", HexEncode(Sha256(lines)), "\n");
}

TEST_CASE("a file has a line for each secret, sorted, between its version and its digest",
          "[agent][secrets-file]") {
  CHECK(Render({{"database-url", "postgres://db"}, {"api-key", "k"}}) ==
        WithDigest("# berth-secrets v1\nAPI_KEY=\"k\"\nDATABASE_URL=\"postgres://db\"\n"));
  CHECK(Render({}) == WithDigest("# berth-secrets v1\n"));
}

TEST_CASE("lines are sorted by what stands in them", "[agent][secrets-file]") {
  // As names, a-b comes before ab; as variables, A_B comes after AB.
  CHECK(Render({{"a-b", "1"}, {"ab", "2"}}) ==
        WithDigest("# berth-secrets v1\nAB=\"2\"\nA_B=\"1\"\n"));
}

TEST_CASE("a value that is more than a word is still one line", "[agent][secrets-file]") {
  CHECK(Render({{"pem", "-----BEGIN\nline \"two\"\n$HOME \\ end\n"}}) ==
        WithDigest("# berth-secrets v1\n"
                   "PEM=\"-----BEGIN\\nline \\\"two\\\"\\n\\$HOME \\\\ end\\n\"\n"));
  CHECK(Render({{"other", "\t'`# \r\xc3\xa4"}, {"none", ""}}) ==
        WithDigest("# berth-secrets v1\nNONE=\"\"\nOTHER=\"\t'`# \r\xc3\xa4\"\n"));
}

TEST_CASE("what no line of text holds is refused by name and not by value",
          "[agent][secrets-file]") {
  const absl::string_view value = GENERATE(absl::string_view("top\0secret", 10), "top\xffsecret");
  const absl::Status refused = RenderSecretsFile({{"blob", value}}).status();
  CHECK(refused.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(refused.message()), Contains("secret blob") && !Contains("top"));
}

}  // namespace
}  // namespace berth::agent
