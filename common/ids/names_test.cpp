#include "common/ids/names.h"

#include <catch2/catch.hpp>
#include <string>

namespace berth {
namespace {

TEST_CASE("names are DNS labels that begin with a letter", "[ids]") {
  for (const char* name : {"a", "web-1", "production", "a0"}) {
    CAPTURE(name);
    CHECK(CheckName("app", name).ok());
  }
  for (const std::string& name : {std::string(), std::string("1a"), std::string("-a"),
                                  std::string("a-"), std::string("A"), std::string("a_b"),
                                  std::string("a.b"), std::string(64, 'a')}) {
    CAPTURE(name);
    CHECK(CheckName("app", name).code() == absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace berth
