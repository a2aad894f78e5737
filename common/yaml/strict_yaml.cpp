#include "common/yaml/strict_yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/text/utf8.h"

namespace berth::yaml {
namespace {

Place PlaceOf(const YAML::Mark& mark) {
  return mark.is_null() ? Place{} : Place{mark.line + 1, mark.column + 1};
}

// Looks at the bytes before any YAML is read in them. Stops at the first mistake of a line.
bool IsPlainText(absl::string_view text, Findings* findings) {
  bool plain = true;
  Place place;
  const auto refuse = [&](absl::string_view what) {
    findings->Add(place, "", what);
    plain = false;
  };
  if (absl::StartsWith(text, "\xef\xbb\xbf")) {
    refuse("byte order mark; save the file as UTF-8 without one");
    return false;
  }
  bool line_refused = false;
  while (!text.empty()) {
    const size_t bytes = Utf8CharacterSize(text);
    if (bytes == 0) {
      refuse("not UTF-8");
      return false;
    }
    const char c = text[0];
    const bool line_break = c == '\n' || absl::StartsWith(text, "\r\n");
    if (c == '\t' && !line_refused) {
      refuse("tab; indent with spaces, and write \\t in a quoted text");
      line_refused = true;
    } else if ((static_cast<unsigned char>(c) < ' ' || c == 0x7f) && !line_break && !line_refused) {
      refuse(absl::StrCat("control character ", absl::Hex(c, absl::kZeroPad2)));
      line_refused = true;
    }
    place.column += static_cast<int>(bytes);
    if (c == '\n') {
      place = {place.line + 1, 1};
      line_refused = false;
    }
    text.remove_prefix(bytes);
  }
  return plain;
}

// Thrown by the builder after a finding: an event handler has no other way to stop the parser.
struct StopParsing {};

// Builds the tree from the parser's events. Aliases are seen as such here, before they could
// multiply anything.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Findings* findings) : findings_(findings) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 1) return;
    findings_->Add(PlaceOf(mark), "", "second document; one file holds one");
    throw StopParsing{};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    RefuseAnchor(mark, anchor);
    Take({Node::Kind::kNull, PlaceOf(mark), "", {}, {}});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    findings_->Add(PlaceOf(mark), "", "alias; write the value out");
    Take({Node::Kind::kRefused, PlaceOf(mark), "", {}, {}});
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    // An escape can make what the text itself may not hold, and what ends a C string.
    if (value.find('\0') != std::string::npos) {
      findings_->Add(PlaceOf(mark), "", "holds a NUL character");
      return Take({Node::Kind::kRefused, PlaceOf(mark), "", {}, {}});
    }
    Take({Node::Kind::kScalar, PlaceOf(mark), value, {}, {}});
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Node::Kind::kSequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Node::Kind::kMapping, mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

  Node TakeRoot() { return std::move(root_); }

 private:
  // A mapping or sequence that is not at its end yet.
  struct Opened {
    Node node;
    // Of a mapping: the key whose value comes next, and those there were.
    std::optional<Node> key;
    std::set<std::string> keys;
  };

  void RefuseAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) findings_->Add(PlaceOf(mark), "", "anchor; remove it");
  }

  // ? and ! are what the parser calls a plain and a quoted scalar.
  void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    findings_->Add(PlaceOf(mark), "", "tag; remove it");
  }

  void Open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    if (opened_.size() >= kDepthMax) {
      findings_->Add(PlaceOf(mark), "", absl::StrCat("nested deeper than ", kDepthMax, " levels"));
      throw StopParsing{};
    }
    opened_.push_back({{kind, PlaceOf(mark), "", {}, {}}, std::nullopt, {}});
  }

  void Close() {
    Node node = std::move(opened_.back().node);
    opened_.pop_back();
    Take(std::move(node));
  }

  // Puts a finished node where it belongs.
  void Take(Node node) {
    if (opened_.empty()) {
      root_ = std::move(node);
      return;
    }
    Opened& parent = opened_.back();
    if (parent.node.kind == Node::Kind::kSequence) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key.has_value()) {
      parent.key = std::move(node);
    } else {
      TakeEntry(parent, *std::exchange(parent.key, std::nullopt), std::move(node));
    }
  }

  void TakeEntry(Opened& parent, Node key, Node value) {
    if (key.kind == Node::Kind::kRefused) return;
    if (key.kind != Node::Kind::kScalar) {
      findings_->Add(key.place, "", "a key must be a text");
      return;
    }
    if (!parent.keys.insert(key.scalar).second) {
      findings_->Add(key.place, "", absl::StrCat("duplicate key ", Quoted(key.scalar)));
      return;
    }
    if (value.kind == Node::Kind::kNull) value.place = key.place;
    parent.node.entries.push_back({std::move(key.scalar), key.place, std::move(value)});
  }

  Findings* const findings_;
  int documents_ = 0;
  std::vector<Opened> opened_;
  Node root_;
};

}  // namespace

std::optional<Node> ParseStrict(absl::string_view text, size_t bytes_max, Findings* findings) {
  if (text.size() > bytes_max) {
    findings->Add({}, "",
                  absl::StrCat("has ", text.size(), " bytes; at most ", bytes_max, " are read"));
    return std::nullopt;
  }
  if (!IsPlainText(text, findings)) return std::nullopt;
  try {
    // The parser takes the end of the file for the end of a quoted text; at this mark it objects.
    std::istringstream stream(absl::StrCat(text, absl::EndsWith(text, "\n") ? "" : "\n", "...\n"));
    YAML::Parser parser(stream);
    TreeBuilder builder(findings);
    while (parser.HandleNextDocument(builder)) {
    }
    Node root = builder.TakeRoot();
    if (root.kind == Node::Kind::kNull) root.place = Place{};
    return root;
  } catch (const YAML::Exception& error) {
    const bool open_quote = error.msg == YAML::ErrorMsg::DOC_IN_SCALAR;
    findings->Add(PlaceOf(error.mark), "",
                  absl::StrCat("not YAML: ", open_quote ? "a quoted text has no end" : error.msg));
    return std::nullopt;
  } catch (const StopParsing&) {
    return std::nullopt;
  }
}

}  // namespace berth::yaml
