#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/yaml/findings.h"

namespace berth::yaml {

// How deeply mappings and sequences may be nested.
inline constexpr int kDepthMax = 20;

struct Entry;

// One value of a document. Scalars are text: what type they are is for the reader to say, so that
// `no` and `010` are never anything but what is written there.
struct Node {
  // kRefused stands for what was reported already: readers take nothing from it and stay silent.
  enum class Kind { kNull, kScalar, kSequence, kMapping, kRefused };

  Kind kind = Kind::kNull;
  // Where the value begins; a null's place is its key's.
  Place place;
  // kScalar: the text, with quotes and escapes resolved.
  std::string scalar;
  // kSequence.
  std::vector<Node> items;
  // kMapping: in the document's order, no key twice.
  std::vector<Entry> entries;
};

// One key of a mapping and its value.
struct Entry {
  std::string key;
  Place place;
  Node value;
};

// Reads one document of a strict subset of YAML 1.2. Refused, each with its place in `findings`:
// duplicate keys, anchors, aliases and tags, keys that are not text, more than one document, tabs
// and other control characters, what is not UTF-8, a byte order mark, too deep nesting, and more
// than `bytes_max`. Where the rest can be read in spite of that it is returned, so that the user
// sees more mistakes in one go; otherwise nothing is. An empty text is a null. Never throws.
std::optional<Node> ParseStrict(absl::string_view text, size_t bytes_max, Findings* findings);

}  // namespace berth::yaml
