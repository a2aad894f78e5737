#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/yaml/findings.h"
#include "common/yaml/strict_yaml.h"

namespace berth::yaml {

struct NamedValue;

// A node, the path that leads to it, and where its mistakes go. Each reading function either gives
// the value or adds a finding and gives nothing, so callers read on and the user sees every mistake
// at once. Cheap to copy; the node and the findings must outlive it.
class Value {
 public:
  Value(const Node& node, std::string path, Findings* findings)
      : node_(&node), path_(std::move(path)), findings_(findings) {}

  const Node& node() const { return *node_; }
  const std::string& path() const { return path_; }
  bool IsScalar() const { return node_->kind == Node::Kind::kScalar; }
  bool IsSequence() const { return node_->kind == Node::Kind::kSequence; }
  bool IsMapping() const { return node_->kind == Node::Kind::kMapping; }

  // Any scalar as it is written. `expected` says in messages what should stand there.
  std::optional<std::string> Text(absl::string_view expected = "a text") const;
  // The same, but not an empty one.
  std::optional<std::string> Word(absl::string_view expected = "a text") const;
  // true or false.
  std::optional<bool> Boolean() const;
  // A decimal whole number.
  std::optional<int64_t> Integer(int64_t min, int64_t max) const;
  // Numbers with units, such as 1h30m or 500ms.
  std::optional<absl::Duration> Duration(absl::Duration min, absl::Duration max) const;
  // The position of the scalar among `words`.
  std::optional<size_t> Choice(std::initializer_list<absl::string_view> words) const;

  // The items of a sequence of at most `items_max`; empty after a finding.
  std::vector<Value> Items(size_t items_max) const;
  // The entries of a mapping of at most `entries_max`; empty after a finding.
  std::vector<NamedValue> Entries(size_t entries_max) const;
  // The value that `node` is under the key `name` of this one.
  Value Child(absl::string_view name, const Node& node) const;

  // Adds a finding at the value, or at another place that concerns it. Nothing is added to a value
  // that was refused before.
  void Refuse(absl::string_view what) const { RefuseAt(node_->place, what); }
  void RefuseAt(Place place, absl::string_view what) const;

 private:
  // Adds the finding that something else stands here than `expected`.
  void RefuseKind(absl::string_view expected) const;

  const Node* node_;
  std::string path_;
  Findings* findings_;
};

// An entry of a mapping.
struct NamedValue {
  std::string name;
  // Where the name stands.
  Place place;
  Value value;

  void RefuseName(absl::string_view what) const { value.RefuseAt(place, what); }
};

// The fields of a mapping, asked for by name; those never asked for are unknown ones.
class Fields {
 public:
  // A value that is no mapping is a finding and has no fields; none is then reported missing. Nor
  // where there is no value at all, which is no finding: every field is absent.
  explicit Fields(std::optional<Value> value);

  // The field, or nothing where it is absent.
  std::optional<Value> Optional(absl::string_view name);
  // The field; its absence is a finding.
  std::optional<Value> Required(absl::string_view name);
  // The fields whose names start with `prefix`: the user's own, none of them unknown.
  std::vector<NamedValue> StartingWith(absl::string_view prefix);

  // Adds a finding for each field that was never asked for, with the nearest name that was.
  void RefuseUnknown() const;

  // Adds a finding at the mapping; nowhere where there is none.
  void Refuse(absl::string_view what) const;

 private:
  std::optional<Value> value_;
  std::vector<NamedValue> entries_;
  std::vector<std::string> known_;
  std::string own_prefix_;
};

}  // namespace berth::yaml
