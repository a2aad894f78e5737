#include "common/tidy/source_text.h"

#include <catch2/catch.hpp>

namespace berth::tidy {
namespace {

TEST_CASE("comments and literals become blanks of the same length", "[tidy][source-text]") {
  const auto [text, code] = GENERATE(table<std::string, std::string>({
      {"a // b\nc", "a     \nc"},
      {"a /* b\nc */ d", "a     \n     d"},
      {R"(f("//", b))", "f(    , b)"},
      {R"(f("a\"b", c))", "f(      , c)"},
      {R"(f('"', '\'', c))", "f(   ,     , c)"},
      {"1'000 + a'b", "1'000 + a'b"},
      {"a = \"open\nb", "a =      \nb"},
      {"R\"x(a)\" \")x\" + b", "             + b"},
      {"R\"(a\nb)\" c", "    \n    c"},
      {"/* open", "       "},
      {"\"open", "     "},
      {"", ""},
  }));
  INFO(text);
  CHECK(CodeOnly(text) == code);
}

TEST_CASE("a text has the lines that an editor counts", "[tidy][source-text]") {
  CHECK(LinesOf("").empty());
  CHECK(LinesOf("a").size() == 1);
  CHECK(LinesOf("a\n").size() == 1);
  CHECK(LinesOf("a\n\nb").size() == 3);
}

TEST_CASE("a word has nothing wordlike beside it", "[tidy][source-text]") {
  CHECK(HasWord("a b c", "b"));
  CHECK(HasWord("b", "b"));
  CHECK(HasWord("ab (b)", "b"));
  CHECK_FALSE(HasWord("ab b_ b2", "b"));
}

}  // namespace
}  // namespace berth::tidy
