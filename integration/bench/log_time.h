#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::bench {

// When a daemon wrote the first line of its log that has all of the words, to the millisecond;
// nothing where there is none yet.
std::optional<absl::Time> TimeOfLine(absl::string_view log, const std::vector<std::string>& words);

}  // namespace berth::bench
