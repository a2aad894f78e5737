#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace berth::edge {

// The form in which host names are compared: lower case, without a final dot. nullopt where `name`
// is not a host name: empty, over 253 characters, a label that is empty or over 63, a character
// other than letters, digits, '-' and '_', or an IP address. Pure.
std::optional<std::string> NormaliseHostname(absl::string_view name);

}  // namespace berth::edge
