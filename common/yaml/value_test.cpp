#include "common/yaml/value.h"

#include <catch2/catch.hpp>
#include <string>

#include "common/testing/printers.h"
#include "common/yaml/nearest_name.h"

namespace berth::yaml {
namespace {

// A one-line document and what was found wrong while reading it.
struct Document {
  explicit Document(absl::string_view text)
      : node(ParseStrict(text, 1000, &findings).value_or(Node{})) {}

  Value value() { return Value(node, "v", &findings); }
  std::string Mistakes() const { return std::string(findings.ToStatus().message()); }

  Findings findings{"f"};
  Node node;
};

TEST_CASE("integers are decimal and in their range", "[yaml]") {
  for (const auto& [text, number] :
       {std::pair("0", 0), std::pair("7", 7), std::pair("-3", -3), std::pair("100", 100)}) {
    Document document(text);
    CHECK(document.value().Integer(-3, 100) == number);
    CHECK(document.Mistakes().empty());
  }
  for (const std::string text :
       {"007", "-0", "+1", "1.0", "1e3", "0x10", "-4", "101", "two", "99999999999999999999"}) {
    Document document(text);
    CHECK_FALSE(document.value().Integer(-3, 100).has_value());
    CHECK(document.Mistakes() == "f:1:1: v: \"" + text + "\" is not a whole number from -3 to 100");
  }
}

TEST_CASE("booleans have one spelling each", "[yaml]") {
  CHECK(Document("true").value().Boolean() == true);
  CHECK(Document("false").value().Boolean() == false);
  Document document("yes");
  CHECK_FALSE(document.value().Boolean().has_value());
  CHECK(document.Mistakes() == "f:1:1: v: \"yes\" is not one of true, false");
}

TEST_CASE("durations carry their unit", "[yaml]") {
  const auto read = [](absl::string_view text) {
    return Document(text).value().Duration(absl::Milliseconds(1), absl::Hours(2));
  };
  CHECK(read("1h30m") == absl::Minutes(90));
  CHECK(read("1.5s") == absl::Milliseconds(1500));
  CHECK(read("500ms") == absl::Milliseconds(500));

  const auto mistake = [](absl::string_view text) {
    Document document(text);
    CHECK_FALSE(document.value().Duration(absl::Milliseconds(1), absl::Hours(2)).has_value());
    return document.Mistakes();
  };
  CHECK(mistake("30") == "f:1:1: v: \"30\" has no unit; for seconds write 30s");
  CHECK(mistake("0") == "f:1:1: v: \"0\" is less than 1ms");
  CHECK(mistake("3h") == "f:1:1: v: \"3h\" is more than 2h");
  for (const std::string text : {"-1s", "inf", "1d", "s", "1h 30m", "1s2"}) {
    CHECK(mistake(text) == "f:1:1: v: \"" + text +
                               "\" is not a duration; write one such as 1h30m, with the units h, "
                               "m, s, ms");
  }
}

TEST_CASE("a choice names every word there is", "[yaml]") {
  Document document("podmann");
  CHECK_FALSE(document.value().Choice({"podman", "microvm"}).has_value());
  CHECK(document.Mistakes() == "f:1:1: v: \"podmann\" is not one of podman, microvm");
}

TEST_CASE("a value of another kind says what it is", "[yaml]") {
  for (const auto& [text, mistake] : {std::pair("[a]", "f:1:1: v: is a list, not a text"),
                                      std::pair("{a: b}", "f:1:1: v: is a mapping, not a text"),
                                      std::pair("''", "f:1:1: v: is empty; write a text"),
                                      std::pair("~", "f:1:1: v: is empty; write a text")}) {
    Document document(text);
    CHECK_FALSE(document.value().Word().has_value());
    CHECK(document.Mistakes() == mistake);
  }
  CHECK(Document("''").value().Text() == "");
  Document word("w");
  CHECK(word.value().Items(1).empty());
  CHECK(word.Mistakes() == "f:1:1: v: \"w\" is not a list");
}

TEST_CASE("lists and mappings have limits", "[yaml]") {
  Document list("[a, b, c]");
  CHECK(list.value().Items(2).empty());
  CHECK(list.Mistakes() == "f:1:1: v: has 3 items; at most 2 are allowed");
  Document mapping("{a: 1, b: 2}");
  CHECK(mapping.value().Entries(1).empty());
  CHECK(mapping.Mistakes() == "f:1:1: v: has 2 entries; at most 1 are allowed");
}

TEST_CASE("paths name keys and items", "[yaml]") {
  Document document("{a: [x, {'b c': y}]}");
  const Value list = document.value().Entries(1)[0].value;
  CHECK(list.Items(2)[1].Entries(1)[0].value.path() == "v.a[1][\"b c\"]");
}

TEST_CASE("fields nobody asked for are unknown, with the nearest name", "[yaml]") {
  Document document("{prots: 1, x-own: 2, far-away: 3}");
  Fields fields(document.value());
  CHECK_FALSE(fields.Optional("ports").has_value());
  CHECK_FALSE(fields.Required("name").has_value());
  CHECK(fields.StartingWith("x-").size() == 1);
  fields.RefuseUnknown();
  CHECK(document.Mistakes() ==
        "f:1:1: v: name is missing\n"
        "f:1:2: v.prots: unknown field; did you mean ports?\n"
        "f:1:22: v.far-away: unknown field");
}

TEST_CASE("what was refused once is not refused again", "[yaml]") {
  Document document("{a: &x {}, b: *x}");
  Fields fields(document.value());
  CHECK_FALSE(fields.Optional("b")->Word().has_value());
  CHECK(document.Mistakes() == "f:1:5: anchor; remove it\nf:1:15: alias; write the value out");
}

TEST_CASE("the nearest name is at most two edits away", "[yaml]") {
  const std::vector<std::string> names = {"ports", "route", "to"};
  CHECK(NearestName("prots", names) == "ports");
  CHECK(NearestName("xrtoupe", names).empty());
  CHECK(NearestName("ot", names) == "to");
  CHECK(NearestName("routes", names) == "route");
  // Two edits make most short words of most others.
  CHECK(NearestName("udp", {"tcp"}).empty());
  CHECK(NearestName("t", names) == "to");
}

}  // namespace
}  // namespace berth::yaml
