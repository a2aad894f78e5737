#pragma once

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

// A node, the path that leads to it, and where its mistakes go. Each reading function either gives
// the value or adds a finding and gives nothing, so callers read on and the user sees every mistake
// at once. Cheap to copy; the node and the findings must outlive it.
class Value {
 public:
  Value(const Node& node, std::string path, Findings* findings)
      : node_(&node), place_(node.place), path_(std::move(path)), findings_(findings) {}

  const Node& node() const { return *node_; }
  const std::string& path() const { return path_; }
  bool IsScalar() const { return node_->kind == Node::Kind::kScalar; }
  bool IsSequence() const { return node_->kind == Node::Kind::kSequence; }
  bool IsMapping() const { return node_->kind == Node::Kind::kMapping; }

  // Any scalar as it is written, also an empty one.
  std::optional<std::string> Text() const;
  // A scalar that is not empty.
  std::optional<std::string> Word() const;
  // true or false.
  std::optional<bool> Boolean() const;
  // A decimal whole number.
  std::optional<int64_t> Integer(int64_t min, int64_t max) const;
  // Numbers with units from h to ns, such as 1h30m or 500ms.
  std::optional<absl::Duration> Duration(absl::Duration min, absl::Duration max) const;
  // One of `words`; the index.
  std::optional<size_t> Choice(std::initializer_list<absl::string_view> words) const;

  // The items of a sequence of at most `items_max`; empty after a finding.
  std::vector<Value> Items(size_t items_max) const;
  // The entries of a mapping of at most `entries_max`; empty after a finding. Each value stands at
  // its own path; its key is the pair's first.
  std::vector<std::pair<std::string, Value>> Entries(size_t entries_max) const;

  // Adds a finding here. WhatIs names what the node is, for messages: text, a mapping …
  void Refuse(absl::string_view what) const;
  absl::string_view WhatIs() const;

  // The same value, with mistakes shown at its key.
  Value At(Place place) const;

 private:
  const Node* node_;
  Place place_;
  std::string path_;
  Findings* findings_;
};

// The fields of a mapping, asked for by name; those never asked for are unknown ones.
class Fields {
 public:
  // A value that is no mapping is a finding, and has no fields; the required ones are then not
  // reported missing.
  explicit Fields(const Value& value);

  // The field, or nothing where it is absent.
  std::optional<Value> Optional(absl::string_view name);
  // The field; its absence is a finding.
  std::optional<Value> Required(absl::string_view name);
  // Fields that start so are the user's own.
  std::vector<std::pair<std::string, Value>> StartingWith(absl::string_view prefix);

  // Adds a finding for each field that was never asked for, with the nearest name that was.
  void RefuseUnknown() const;

  const Value& value() const { return value_; }

 private:
  Value value_;
  std::vector<std::string> known_;
  std::string own_prefix_;
};

// The candidate that `word` is most likely a misspelling of: at most 2 edits away and nearer than
// its own length; the first of equals. Empty where there is none.
absl::string_view NearestName(absl::string_view word, const std::vector<std::string>& candidates);

}  // namespace berth::yaml
