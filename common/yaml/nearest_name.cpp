#include "common/yaml/nearest_name.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace berth::yaml {
namespace {

constexpr size_t kEditsMax = 2;
// Longer words are no misspelled names, and comparing them would cost their length squared.
constexpr size_t kWordBytesMax = 64;

// Letters to insert, remove, replace or swap with their neighbour to make `to` of `from`.
size_t Edits(absl::string_view from, absl::string_view to) {
  // rows[i][j]: from the first i letters of `from` to the first j of `to`.
  std::vector<std::vector<size_t>> rows(from.size() + 1, std::vector<size_t>(to.size() + 1));
  for (size_t i = 0; i <= from.size(); ++i) {
    for (size_t j = 0; j <= to.size(); ++j) {
      if (i == 0 || j == 0) {
        rows[i][j] = i + j;
        continue;
      }
      const size_t replaced = rows[i - 1][j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      rows[i][j] = std::min({replaced, rows[i - 1][j] + 1, rows[i][j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (swapped) rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[from.size()][to.size()];
}

}  // namespace

std::string NearestName(absl::string_view word, const std::vector<std::string>& candidates) {
  std::string nearest;
  size_t nearest_edits = kEditsMax + 1;
  if (word.size() > kWordBytesMax) return nearest;
  for (const std::string& candidate : candidates) {
    const size_t edits = Edits(word, candidate);
    if (edits < nearest_edits && 2 * edits <= candidate.size()) {
      nearest = candidate;
      nearest_edits = edits;
    }
  }
  return nearest;
}

std::string DidYouMean(absl::string_view word, const std::vector<std::string>& candidates) {
  const std::string nearest = NearestName(word, candidates);
  return nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?");
}

}  // namespace berth::yaml
