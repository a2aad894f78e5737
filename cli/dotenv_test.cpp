#include "cli/dotenv.h"

#include <catch2/catch.hpp>

#include "common/testing/printers.h"

namespace berth::cli {
namespace {

// The secrets as name=value, one after another, or why there are none.
std::string Parsed(const std::string& text) {
  const auto secrets = ParseDotenv(SecretBytes::CopyOf(text));
  if (!secrets.ok()) {
    CHECK(absl::IsInvalidArgument(secrets.status()));
    return std::string(secrets.status().message());
  }
  std::string all;
  for (const NamedValue& secret : *secrets) {
    all += secret.name + "=" + std::string(secret.value.view()) + ";";
  }
  return all;
}

TEST_CASE("a dotenv file is read as it is meant", "[cli][dotenv]") {
  CHECK(Parsed("") == "");
  CHECK(Parsed("TOKEN=abc\n") == "token=abc;");
  CHECK(Parsed("TOKEN=abc") == "token=abc;");
  CHECK(Parsed("# all\n\n  export DATABASE_URL = postgres://a=b#c \r\nKEY=\n") ==
        "database-url=postgres://a=b#c;key=;");
  CHECK(Parsed("A= # empty\nB=#1\n") == "a=;b=#1;");
  CHECK(Parsed("A=x # said by nobody\nB='x # y' # z\n") == "a=x;b=x # y;");
  CHECK(Parsed("A='one\ntwo\\n'\nB=\"one\ntwo\\n\\\"\\\\\\$\\t\\r\"") ==
        "a=one\ntwo\\n;b=one\ntwo\n\"\\$\t\r;");
  CHECK(Parsed("A=${B}$(c)\n") == "a=${B}$(c);");
}

TEST_CASE("a mistake in a dotenv file is told by its line, without the value", "[cli][dotenv]") {
  CHECK(Parsed("A=1\nhunter2\n") == "line 2 is not NAME=VALUE");
  CHECK_THAT(Parsed("hunter2==\n") + Parsed("hunter 2=x\n") + Parsed("2A=x"),
             !Catch::Contains("hunter 2"));
  CHECK_THAT(Parsed("hunter 2=x\n"), Catch::StartsWith("line 1 has a name"));
  CHECK(Parsed("A='hunter2\nB=1\n") == "line 1 begins a value in quotes that does not end");
  CHECK(Parsed("A=\"hunter2\\") == "line 1 begins a value in quotes that does not end");
  CHECK_THAT(Parsed("A='\n\n'\nB=\"\n\\x\""), Catch::StartsWith("line 5 has a backslash"));
  CHECK(Parsed("A='1' 2\n") == "line 1 goes on after a value in quotes");
  std::string many;
  for (size_t i = 0; i < kDotenvSecretsMax; ++i) many += "A" + std::to_string(i) + "=\n";
  CHECK_THAT(Parsed(many), Catch::StartsWith("a0=;"));
  CHECK_THAT(Parsed(many + "B=\n"), Catch::StartsWith("line 1001 is one secret more"));
  CHECK(Parsed("A_B=1\na-b=2\n") == "line 2 gives a-b a second value");
}

}  // namespace
}  // namespace berth::cli
