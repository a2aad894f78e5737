#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace berth {

// How many bytes the UTF-8 character at the start of `text` takes; 0 where there is none. Overlong
// forms, surrogates and what lies beyond U+10FFFF are none. `text` is not empty.
size_t Utf8CharacterSize(absl::string_view text);

// The text with each byte that is not part of a character replaced by U+FFFD.
std::string ToUtf8(absl::string_view bytes);

// The text's first characters, as many as fit into `size_max` bytes. `text` is UTF-8.
absl::string_view CutUtf8(absl::string_view text, size_t size_max);

}  // namespace berth
