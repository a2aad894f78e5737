#include "cli/https.h"

#include <catch2/catch.hpp>

#include "common/testing/printers.h"

namespace berth::cli {
namespace {

TEST_CASE("what means something in a URL is escaped in its query", "[cli][https]") {
  CHECK(UrlEscape("repository:acme/notes:pull") == "repository%3Aacme%2Fnotes%3Apull");
  CHECK(UrlEscape("a-b_c.d~9") == "a-b_c.d~9");
  CHECK(UrlEscape("\xc3\xa9 &") == "%C3%A9%20%26");
}

TEST_CASE("nothing is asked without TLS", "[cli][https]") {
  const auto response = HttpsGet("http://127.0.0.1:1/", {});
  CHECK(response.status().code() == absl::StatusCode::kUnavailable);
  CHECK_THAT(std::string(response.status().message()), Catch::Contains("not supported"));
}

}  // namespace
}  // namespace berth::cli
