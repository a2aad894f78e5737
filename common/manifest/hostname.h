#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// The one form of a host name that TLS clients may ask for: lower case, without a final dot; a
// wildcard is *.NAME and stands for one label. kInvalidArgument says what is wrong, an IP address
// among the rest (RFC 6066 section 3).
absl::StatusOr<std::string> CanonicalHostname(absl::string_view text);

}  // namespace berth
