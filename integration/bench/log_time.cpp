#include "integration/bench/log_time.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace berth::bench {

std::optional<absl::Time> TimeOfLine(absl::string_view log, const std::vector<std::string>& words) {
  for (const absl::string_view line : absl::StrSplit(log, '\n')) {
    const bool has_all = std::all_of(words.begin(), words.end(), [&](const std::string& word) {
      return absl::StrContains(line, word);
    });
    absl::Time time;
    std::string error;
    const absl::string_view text = line.substr(0, line.find(' '));
    if (has_all && absl::ParseTime(absl::RFC3339_full, text, &time, &error)) return time;
  }
  return std::nullopt;
}

}  // namespace berth::bench
