#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::tidy {

// C++ text with every comment, string and character replaced by blanks, so that a rule about code
// does not find what is only spoken about. Line breaks stay: line numbers and columns are the same.
std::string CodeOnly(absl::string_view text);

// The lines of a text, without their line breaks. A final line break begins no line.
std::vector<absl::string_view> LinesOf(absl::string_view text);

// Whether `text` holds `name` at `position` and no letter, digit or '_' right before or behind it.
bool IsWordAt(absl::string_view text, size_t position, absl::string_view name);

// Whether `name` stands in the text as a word of its own.
bool HasWord(absl::string_view text, absl::string_view name);

}  // namespace berth::tidy
