#include "common/yaml/value.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/yaml/nearest_name.h"

namespace berth::yaml {
namespace {

// No mapping with named fields has more, the user's own included.
constexpr size_t kFieldsMax = 1000;

bool IsPlainKey(absl::string_view key) {
  constexpr size_t kPlainKeyBytesMax = 64;
  return !key.empty() && key.size() <= kPlainKeyBytesMax &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
         });
}

// FormatDuration writes 1h as 1h0m0s.
std::string Short(absl::Duration duration) {
  std::string text = absl::FormatDuration(duration);
  if (absl::EndsWith(text, "m0s")) text.resize(text.size() - 2);
  if (absl::EndsWith(text, "h0m")) text.resize(text.size() - 2);
  return text;
}

bool IsNumber(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

}  // namespace

std::optional<std::string> Value::Text(absl::string_view expected) const {
  if (IsScalar()) return node_->scalar;
  RefuseKind(expected);
  return std::nullopt;
}

std::optional<std::string> Value::Word(absl::string_view expected) const {
  if (IsScalar() && !node_->scalar.empty()) return node_->scalar;
  RefuseKind(expected);
  return std::nullopt;
}

std::optional<bool> Value::Boolean() const {
  const auto index = Choice({"true", "false"});
  if (!index.has_value()) return std::nullopt;
  return *index == 0;
}

std::optional<int64_t> Value::Integer(int64_t min, int64_t max) const {
  const std::string expected = absl::StrCat("a whole number from ", min, " to ", max);
  const auto text = Word(expected);
  if (!text.has_value()) return std::nullopt;
  absl::string_view digits = *text;
  const bool negative = absl::ConsumePrefix(&digits, "-");
  int64_t number = 0;
  // No leading zeros: they mean octal to some readers of YAML.
  const bool decimal =
      IsNumber(digits) && (digits == "0" || digits[0] != '0') && !(negative && digits == "0");
  if (decimal && absl::SimpleAtoi(*text, &number) && number >= min && number <= max) return number;
  Refuse(absl::StrCat(Quoted(*text), " is not ", expected));
  return std::nullopt;
}

std::optional<absl::Duration> Value::Duration(absl::Duration min, absl::Duration max) const {
  const auto text = Word("a duration such as 1h30m");
  if (!text.has_value()) return std::nullopt;
  absl::Duration duration;
  if (IsNumber(*text) && *text != "0") {
    Refuse(
        absl::StrCat(Quoted(*text), " has no unit; for seconds write ", text->substr(0, 40), "s"));
  } else if (!absl::ascii_isdigit(static_cast<unsigned char>((*text)[0])) ||
             !absl::ParseDuration(*text, &duration)) {
    Refuse(absl::StrCat(Quoted(*text),
                        " is not a duration; write one such as 1h30m, with the units h, m, s, ms"));
  } else if (duration < min) {
    Refuse(absl::StrCat(Quoted(*text), " is less than ", Short(min)));
  } else if (duration > max) {
    Refuse(absl::StrCat(Quoted(*text), " is more than ", Short(max)));
  } else {
    return duration;
  }
  return std::nullopt;
}

std::optional<size_t> Value::Choice(std::initializer_list<absl::string_view> words) const {
  const std::vector<std::string> known(words.begin(), words.end());
  const std::string expected =
      known.size() == 1 ? known[0] : absl::StrCat("one of ", absl::StrJoin(known, ", "));
  const auto text = Word(expected);
  if (!text.has_value()) return std::nullopt;
  const auto found = std::find(known.begin(), known.end(), *text);
  if (found != known.end()) return found - known.begin();
  Refuse(absl::StrCat(Quoted(*text), " is not ", expected));
  return std::nullopt;
}

std::vector<Value> Value::Items(size_t items_max) const {
  std::vector<Value> items;
  if (!IsSequence()) {
    RefuseKind("a list");
  } else if (node_->items.size() > items_max) {
    Refuse(
        absl::StrCat("has ", node_->items.size(), " items; at most ", items_max, " are allowed"));
  } else {
    for (const Node& item : node_->items) {
      items.emplace_back(item, absl::StrCat(path_, "[", items.size(), "]"), findings_);
    }
  }
  return items;
}

std::vector<NamedValue> Value::Entries(size_t entries_max) const {
  std::vector<NamedValue> entries;
  if (!IsMapping()) {
    RefuseKind("a mapping");
  } else if (node_->entries.size() > entries_max) {
    Refuse(absl::StrCat("has ", node_->entries.size(), " entries; at most ", entries_max,
                        " are allowed"));
  } else {
    for (const Entry& entry : node_->entries) {
      entries.push_back({entry.key, entry.place, Child(entry.key, entry.value)});
    }
  }
  return entries;
}

Value Value::Child(absl::string_view name, const Node& node) const {
  if (!IsPlainKey(name)) return Value(node, absl::StrCat(path_, "[", Quoted(name), "]"), findings_);
  return Value(node, absl::StrCat(path_, path_.empty() ? "" : ".", name), findings_);
}

void Value::RefuseAt(Place place, absl::string_view what) const {
  if (node_->kind != Node::Kind::kRefused) findings_->Add(place, path_, what);
}

void Value::RefuseKind(absl::string_view expected) const {
  switch (node_->kind) {
    case Node::Kind::kScalar:
      if (node_->scalar.empty()) return Refuse(absl::StrCat("is empty; write ", expected));
      return Refuse(absl::StrCat(Quoted(node_->scalar), " is not ", expected));
    case Node::Kind::kNull:
      return Refuse(absl::StrCat("is empty; write ", expected));
    case Node::Kind::kSequence:
      return Refuse(absl::StrCat("is a list, not ", expected));
    case Node::Kind::kMapping:
      return Refuse(absl::StrCat("is a mapping, not ", expected));
    case Node::Kind::kRefused:
      return;
  }
}

Fields::Fields(std::optional<Value> value) : value_(std::move(value)) {
  if (value_.has_value()) entries_ = value_->Entries(kFieldsMax);
}

std::optional<Value> Fields::Optional(absl::string_view name) {
  known_.emplace_back(name);
  for (const NamedValue& entry : entries_) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

std::optional<Value> Fields::Required(absl::string_view name) {
  std::optional<Value> field = Optional(name);
  const bool has_fields =
      value_.has_value() && value_->IsMapping() && value_->node().entries.size() <= kFieldsMax;
  if (!field.has_value() && has_fields) {
    value_->Refuse(absl::StrCat(name, " is missing"));
  }
  return field;
}

void Fields::Refuse(absl::string_view what) const {
  if (value_.has_value()) value_->Refuse(what);
}

std::vector<NamedValue> Fields::StartingWith(absl::string_view prefix) {
  own_prefix_ = std::string(prefix);
  std::vector<NamedValue> own;
  for (const NamedValue& entry : entries_) {
    if (absl::StartsWith(entry.name, prefix)) own.push_back(entry);
  }
  return own;
}

void Fields::RefuseUnknown() const {
  for (const NamedValue& entry : entries_) {
    if (!own_prefix_.empty() && absl::StartsWith(entry.name, own_prefix_)) continue;
    if (std::find(known_.begin(), known_.end(), entry.name) != known_.end()) continue;
    entry.RefuseName(absl::StrCat("unknown field", DidYouMean(entry.name, known_)));
  }
}

}  // namespace berth::yaml
