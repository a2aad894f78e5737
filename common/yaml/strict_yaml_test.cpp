#include "common/yaml/strict_yaml.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/testing/printers.h"

namespace berth::yaml {
namespace {

constexpr size_t kBytesMax = 1000;

// What is wrong with the text, all of it.
std::string Mistakes(absl::string_view text) {
  Findings findings("f.yaml");
  ParseStrict(text, kBytesMax, &findings);
  return std::string(findings.ToStatus().message());
}

// The document as one line: what kinds it has and where they begin.
std::string Outline(const Node& node) {
  const std::string at = absl::StrCat("@", node.place.line, ":", node.place.column);
  std::string inner;
  switch (node.kind) {
    case Node::Kind::kNull:
      return "null" + at;
    case Node::Kind::kRefused:
      return "refused" + at;
    case Node::Kind::kScalar:
      return absl::StrCat("'", node.scalar, "'", at);
    case Node::Kind::kSequence:
      for (const Node& item : node.items) absl::StrAppend(&inner, " ", Outline(item));
      return absl::StrCat("[", inner, " ]", at);
    case Node::Kind::kMapping:
      for (const Entry& entry : node.entries) {
        absl::StrAppend(&inner, " ", entry.key, "@", entry.place.line, ":", entry.place.column, "=",
                        Outline(entry.value));
      }
      return absl::StrCat("{", inner, " }", at);
  }
  return "";
}

std::string Outline(absl::string_view text) {
  Findings findings("f.yaml");
  const auto node = ParseStrict(text, kBytesMax, &findings);
  CHECK(findings.ToStatus() == absl::OkStatus());
  return node.has_value() ? Outline(*node) : "nothing";
}

TEST_CASE("a document keeps its order and its places", "[yaml]") {
  CHECK(Outline("b: 1\na:\n  - x\n  - {c: \"y\\n\"}\n") ==
        "{ b@1:1='1'@1:4 a@2:1=[ 'x'@3:5 { c@4:6='y\n'@4:9 }@4:5 ]@3:3 }@1:1");
}

TEST_CASE("a null stands at its key", "[yaml]") {
  CHECK(Outline("a: 1\nb:\n") == "{ a@1:1='1'@1:4 b@2:1=null@2:1 }@1:1");
}

TEST_CASE("scalars are text, whatever YAML would make of them", "[yaml]") {
  CHECK(Outline("[no, 010, 1e3, '']") == "[ 'no'@1:2 '010'@1:6 '1e3'@1:11 ''@1:16 ]@1:1");
}

TEST_CASE("an empty text is a null", "[yaml]") {
  CHECK(Outline("") == "null@1:1");
  CHECK(Outline("# only a comment\n") == "null@1:1");
}

TEST_CASE("a document may be marked as such", "[yaml]") {
  CHECK(Outline("---\na\n...\n") == "'a'@2:1");
}

TEST_CASE("texts of several lines keep their line breaks", "[yaml]") {
  CHECK(Outline("a: |\n  x\n  y\nb: >-\n  x\n  y\n") ==
        "{ a@1:1='x\ny\n'@1:4 b@4:1='x y'@4:4 }@1:1");
  CHECK(Outline("a: |+\n  x\n\n") == "{ a@1:1='x\n\n'@1:4 }@1:1");
}

TEST_CASE("what leads to surprises is refused with its place", "[yaml]") {
  CHECK(Mistakes("a: 1\na: 2\n") == "f.yaml:2:1: duplicate key \"a\"");
  CHECK(Mistakes("a: &x 1\nb: *x\n") ==
        "f.yaml:1:4: anchor; remove it\nf.yaml:2:4: alias; write the value out");
  CHECK(Mistakes("a: !!int 1\n") == "f.yaml:1:4: tag; remove it");
  CHECK(Mistakes("[a]: 1\n") == "f.yaml:1:1: a key must be a text");
  CHECK(Mistakes("a: 1\n---\nb: 2\n") == "f.yaml:2:1: second document; one file holds one");
  CHECK(Mistakes("a:\n\tb: 1\n") ==
        "f.yaml:2:1: tab; indent with spaces, and write \\t in a quoted text");
  CHECK(Mistakes("a: \x01\n") == "f.yaml:1:4: control character 01");
  CHECK(Mistakes(absl::string_view("a: \0\n", 5)) == "f.yaml:1:4: control character 00");
  CHECK(Mistakes("a: \"\\0\"\n") == "f.yaml:1:4: holds a NUL character");
  CHECK(Mistakes("\xef\xbb\xbf"
                 "a: 1\n") == "f.yaml:1:1: byte order mark; save the file as UTF-8 without one");
}

TEST_CASE("what is not UTF-8 is refused", "[yaml]") {
  CHECK(Mistakes("a: \xff\n") == "f.yaml:1:4: not UTF-8");
  CHECK(Mistakes("a: \xc0\x80\n") == "f.yaml:1:4: not UTF-8");          // Overlong.
  CHECK(Mistakes("a: \xed\xa0\x80\n") == "f.yaml:1:4: not UTF-8");      // Surrogate.
  CHECK(Mistakes("a: \xf4\x90\x80\x80\n") == "f.yaml:1:4: not UTF-8");  // Beyond U+10FFFF.
  CHECK(Mistakes("a: \xe2\x82") == "f.yaml:1:4: not UTF-8");            // Cut short.
  CHECK(Mistakes("a: ü€😀\n").empty());
}

TEST_CASE("what is not YAML at all is refused with its place", "[yaml]") {
  CHECK(Mistakes("a: [1\n") == "f.yaml:2:1: not YAML: end of sequence flow not found");
  CHECK(Mistakes("a: 'b\n") == "f.yaml:2:1: not YAML: a quoted text has no end");
  CHECK(Mistakes("a: \"b") == "f.yaml:2:1: not YAML: a quoted text has no end");
  CHECK(Mistakes("a: b: c\n") == "f.yaml:1:5: not YAML: illegal map value");
}

TEST_CASE("size and depth have limits", "[yaml]") {
  const std::string open(kDepthMax, '['), close(kDepthMax, ']');
  CHECK(Mistakes(open + close).empty());
  CHECK(Mistakes("[" + open + close + "]") == "f.yaml:1:21: nested deeper than 20 levels");
  CHECK(Mistakes(std::string(kBytesMax, '#')).empty());
  CHECK(Mistakes(std::string(kBytesMax + 1, '#')) ==
        "f.yaml:1:1: has 1001 bytes; at most 1000 are read");
}

TEST_CASE("an error lists mistakes in the file's order and counts those beyond its limit",
          "[yaml]") {
  Findings findings("f.yaml");
  for (int line = 30; line > 0; --line) findings.Add({line, 1}, "a", "is wrong");
  const absl::Status status = findings.ToStatus();
  CHECK(FieldViolationsOf(status).size() == kFindingsMax);
  CHECK(FieldViolationsOf(status)[0].field == "a");
  CHECK(FieldViolationsOf(status)[0].description == "f.yaml:11:1: a: is wrong");
  CHECK(std::string(status.message()).find("f.yaml: 10 more not shown") != std::string::npos);
}

TEST_CASE("an error has a limit in bytes", "[yaml]") {
  Findings findings("f.yaml");
  for (int i = 0; i < 3; ++i) findings.Add({1, 1}, "a", std::string(700, 'x'));
  CHECK(FieldViolationsOf(findings.ToStatus()).size() == 2);
}

TEST_CASE("text of the file is shown escaped, and cut between characters", "[yaml]") {
  CHECK(Quoted("a\nb") == "\"a\\nb\"");
  CHECK(Quoted(std::string(40, 'a')) == "\"" + std::string(40, 'a') + "\"");
  CHECK(Quoted(std::string(39, 'a') + "üb") == "\"" + std::string(39, 'a') + "…\"");
}

}  // namespace
}  // namespace berth::yaml
