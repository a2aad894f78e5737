#include "common/text/utf8.h"

#include <catch2/catch.hpp>
#include <string>

namespace berth {
namespace {

TEST_CASE("text that is UTF-8 stays as it is", "[text][utf8]") {
  const std::string text = GENERATE(as<std::string>(), "", "plain", "größer", "日本", "𐍈", "\n\t");
  CHECK(ToUtf8(text) == text);
}

TEST_CASE("bytes that are no character are replaced, one by one", "[text][utf8]") {
  CHECK(ToUtf8("a\xff"
               "b") == "a\ufffdb");
  CHECK(ToUtf8("\xc3") == "\ufffd");                                // Cut short.
  CHECK(ToUtf8("\xe2\x82") == "\ufffd\ufffd");                      // Cut short.
  CHECK(ToUtf8("\xc0\x80") == "\ufffd\ufffd");                      // Overlong.
  CHECK(ToUtf8("\xed\xa0\x80") == "\ufffd\ufffd\ufffd");            // A surrogate.
  CHECK(ToUtf8("\xf4\x90\x80\x80") == "\ufffd\ufffd\ufffd\ufffd");  // Beyond U+10FFFF.
  CHECK(ToUtf8("\x80\xc3\xa9") == "\ufffdé");
}

TEST_CASE("a cut never goes through a character", "[text][utf8]") {
  CHECK(CutUtf8("größer", 100) == "größer");
  CHECK(CutUtf8("größer", 8) == "größer");
  CHECK(CutUtf8("größer", 3) == "gr");
  CHECK(CutUtf8("größer", 4) == "grö");
  CHECK(CutUtf8("日本", 5) == "日");
  CHECK(CutUtf8("日本", 2).empty());
  CHECK(CutUtf8("", 0).empty());
}

}  // namespace
}  // namespace berth
