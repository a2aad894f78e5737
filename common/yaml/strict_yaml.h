#pragma once

#include <cstddef>
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
  enum class Kind { kNull, kScalar, kSequence, kMapping };

  Kind kind = Kind::kNull;
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
// than `bytes_max`. What could be read in spite of that is returned, so that more mistakes can be
// found in one go. An empty text is a null. Never throws.
Node ParseStrict(absl::string_view text, size_t bytes_max, Findings* findings);

}  // namespace berth::yaml
