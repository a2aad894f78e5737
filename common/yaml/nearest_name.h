#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::yaml {

// The candidate that `word` is most likely a misspelling of: at most two letters inserted, removed,
// replaced or swapped with their neighbour, and at most half of the candidate's. The first of
// equally near ones; empty where there is none.
std::string NearestName(absl::string_view word, const std::vector<std::string>& candidates);

// "; did you mean NAME?" for the nearest name, or nothing.
std::string DidYouMean(absl::string_view word, const std::vector<std::string>& candidates);

}  // namespace berth::yaml
